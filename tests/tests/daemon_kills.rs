//! W01–W03, R02: Docker's daemon is killed before, during and after each request that changes something, and started
//! again; the hub comes to the old or to the new state, with no orphan and no second container.
//! `cargo xtask killpoints` walks all of them; here it is an even part.

use selena_tests::{Hub, Options, own_engine::Daemon, transactions, walk::Victim};

fn with_daemon(walk: impl FnOnce(&mut Hub, &mut dyn Victim)) {
    let mut daemon = Daemon::default();
    let mut hub = Hub::with(Options { engine: daemon.engine(), rate_limit: false, ..Options::default() });
    walk(&mut hub, &mut daemon);
}

#[test]
fn w01_r02_an_install_with_a_killed_docker_is_whole_or_never_was() {
    with_daemon(|hub, daemon| transactions::install(hub, daemon, 9));
}

#[test]
fn w02_r02_an_update_with_a_killed_docker_leaves_the_old_or_the_new_version() {
    with_daemon(|hub, daemon| transactions::update(hub, daemon, 9));
}

#[test]
fn w02_r02_a_failing_update_with_a_killed_docker_leaves_the_old_version() {
    with_daemon(|hub, daemon| transactions::failing_update(hub, daemon, 7));
}

#[test]
fn w02_r02_a_rollback_with_a_killed_docker_leaves_one_of_both_versions() {
    with_daemon(|hub, daemon| transactions::rollback(hub, daemon, 6));
}

#[test]
fn w02_r02_a_granted_update_with_a_killed_docker_runs_or_still_waits() {
    with_daemon(|hub, daemon| transactions::granted_update(hub, daemon, 5));
}

#[test]
fn w03_r02_a_removal_with_a_killed_docker_is_total_or_never_was() {
    with_daemon(|hub, daemon| transactions::removal(hub, daemon, 6));
}
