//! W01–W03: the hub is killed before and after the changes that each transaction makes, and is afterwards in the old or in
//! the new state, with nothing left over. `cargo xtask killpoints` walks all of them; here it is an even part.
//!
//! The points are counted by the hub itself (`selena-killpoints`); what was reached is printed.

use selena_tests::{Hub, restores, transactions, walk::Core};

#[test]
fn w01_an_install_is_whole_or_never_was() {
    transactions::install(&mut Hub::unlimited(), &mut Core, 30);
}

#[test]
fn w01_a_consent_is_given_or_still_awaited() {
    transactions::consent(&mut Hub::unlimited(), &mut Core, 20);
}

#[test]
fn w01_a_replacement_of_what_waits_for_a_person_leaves_one_of_both_or_none() {
    transactions::replacement(&mut Hub::unlimited(), &mut Core, 15);
}

#[test]
fn w02_an_update_leaves_the_old_or_the_new_version_with_its_data() {
    transactions::update(&mut Hub::unlimited(), &mut Core, 40);
}

#[test]
fn w02_an_update_that_fails_leaves_the_old_version_with_its_data() {
    transactions::failing_update(&mut Hub::unlimited(), &mut Core, 30);
}

#[test]
fn w02_an_update_that_asks_for_more_waits_or_never_came() {
    transactions::asking_update(&mut Hub::unlimited(), &mut Core, 15);
}

#[test]
fn w02_an_update_that_is_granted_runs_or_still_waits() {
    transactions::granted_update(&mut Hub::unlimited(), &mut Core, 20);
}

#[test]
fn w02_a_rollback_leaves_one_of_both_versions_with_its_own_data() {
    transactions::rollback(&mut Hub::unlimited(), &mut Core, 30);
}

#[test]
fn w02_a_stop_and_a_start_last_once_they_are_answered() {
    transactions::stop_and_start(&mut Hub::unlimited(), &mut Core, 10);
}

#[test]
fn w03_a_removal_is_total_or_never_was() {
    transactions::removal(&mut Hub::unlimited(), &mut Core, 20);
}

#[test]
fn r05_a_crashed_module_comes_back_whenever_the_hub_dies_meanwhile() {
    transactions::retry(&mut Hub::unlimited(), &mut Core, 15);
}

#[test]
fn w11_a_setting_has_its_old_or_its_new_value() {
    transactions::config_change(&mut Hub::unlimited(), &mut Core, 10);
}

#[test]
fn w11_a_restored_module_is_the_one_of_before_or_the_one_of_the_backup() {
    restores::module(&mut Hub::unlimited(), &mut Core, 12);
}

#[test]
fn w11_a_restored_hub_is_the_one_of_before_or_the_one_of_the_backup() {
    restores::whole_hub(&mut Hub::unlimited(), &mut Core, 12);
}
