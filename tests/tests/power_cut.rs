//! W01–W03 with lost writes: the power goes at any flush of the disk while a module is installed, updated, rolled back
//! and removed. The hub starts on what is left, and is in the old or in the new state, with nothing left over.
//!
//! The transaction runs once on a disk that knows what was flushed (`selena-powercut`); then the hub is started on the
//! states in which a cut may have left it. `cargo xtask powercut` looks at thousands; here it is an even part.
//! Docker keeps its own files elsewhere: what it has is then older or newer than what the hub has, and is put in order.

use std::sync::Arc;

use selena_powercut::{Cut, Disk, Sample};
use selena_tests::{
    Hub, Options,
    transactions::{NAME, installed, package, upload},
};
use serde_json::json;

const NOTES: &str = "/data/notes";

/// A hub whose data lies on a disk that can lose them.
fn hub_on_a_disk() -> (Hub, Arc<Disk>) {
    let disk = Arc::new(Disk::new(96).expect("this test needs root, /dev/fuse, loop devices and mkfs.ext4"));
    let options = Options { disk: Some(Arc::clone(&disk)), rate_limit: false, ..Options::default() };
    (Hub::with(options), disk)
}

fn write_notes(hub: &Hub, text: &str) {
    hub.hears_again(NAME, 60).act(&json!({ "act": "write", "path": NOTES, "text": text }));
}

fn notes(hub: &Hub) -> String {
    let notes = hub.hears_again(NAME, 60).act(&json!({ "act": "read", "path": NOTES }));
    notes["done"].as_str().unwrap_or_default().to_owned()
}

/// Runs a transaction, and looks at what a power cut at any of its flushes leaves; `answered`: the cut came after the
/// answer, so that it has to be the new state.
#[track_caller]
fn at_each_flush(
    id: &str,
    most: usize,
    hub: &mut Hub,
    disk: &Disk,
    act: impl Fn(&Hub),
    check: impl Fn(&Hub, bool, &str),
) {
    hub.settles(&format!("{id}: the old state"));
    hub.disk().expect("it has one").sync().expect("everything is written");
    disk.begin();
    act(hub);
    let answered = disk.flushes();
    hub.settles(&format!("{id}: the new state"));
    let (last, sample) = (disk.flushes(), Sample::of(most));
    let cuts = sample.cuts(last);
    for cut in &cuts {
        let Cut { flushes, fate } = *cut;
        let when = format!("{id}, seed {}: after flush {flushes} of {last}, {fate:?}", sample.seed());
        hub.cut_power(*cut);
        hub.start_again();
        hub.settles(&when);
        check(hub, flushes >= answered, &when);
    }
    sample.report(id, cuts.len(), last);
}

#[test]
fn w01_an_install_is_whole_or_never_was_wherever_the_power_goes() {
    let (mut hub, disk) = hub_on_a_disk();
    let act = |hub: &Hub| assert_eq!(upload(hub, &package(0)), Some(201));
    at_each_flush("W01 install", 14, &mut hub, &disk, act, |hub, answered, when| {
        assert!(!answered || installed(hub).is_some(), "{when}: it was answered, and is gone");
        if installed(hub).is_some() {
            let _works = hub.hears_again(NAME, 60);
        }
    });
}

#[test]
fn w02_an_update_leaves_one_version_with_its_data_wherever_the_power_goes() {
    let (mut hub, disk) = hub_on_a_disk();
    assert_eq!(upload(&hub, &package(0)), Some(201));
    write_notes(&hub, "kept");
    let act = |hub: &Hub| assert_eq!(upload(hub, &package(1)), Some(201));
    at_each_flush("W02 update", 16, &mut hub, &disk, act, |hub, answered, when| {
        let now = installed(hub).unwrap_or_else(|| panic!("{when}: it is gone"));
        assert!(now == 1 || (now == 0 && !answered), "{when}: version 1.{now}.0 is there");
        assert_eq!(notes(hub), "kept", "{when}");
    });
}

#[test]
fn w02_a_rollback_leaves_one_version_with_its_own_data_wherever_the_power_goes() {
    let (mut hub, disk) = hub_on_a_disk();
    for minor in 0..=1 {
        assert_eq!(upload(&hub, &package(minor)), Some(201));
        write_notes(&hub, &format!("notes of {minor}"));
    }
    let act = |hub: &Hub| {
        let _back = hub.client().post(&format!("/modules/{NAME}/rollback"), &json!({})).expect(200);
    };
    at_each_flush("W02 rollback", 14, &mut hub, &disk, act, |hub, answered, when| {
        let now = installed(hub).unwrap_or_else(|| panic!("{when}: it is gone"));
        assert!(now == 0 || !answered, "{when}: version 1.{now}.0 is there");
        assert_eq!(notes(hub), format!("notes of {now}"), "{when}");
        assert_eq!(hub.details(NAME)["previous_version"], format!("1.{}.0", 1 - now), "{when}");
    });
}

#[test]
fn w03_a_removal_is_total_or_never_was_wherever_the_power_goes() {
    let (mut hub, disk) = hub_on_a_disk();
    assert_eq!(upload(&hub, &package(0)), Some(201));
    write_notes(&hub, "kept");
    let act = |hub: &Hub| {
        let _gone = hub.client().delete(&format!("/modules/{NAME}")).expect(204);
    };
    at_each_flush("W03 remove", 10, &mut hub, &disk, act, |hub, answered, when| match installed(hub) {
        Some(_) if answered => panic!("{when}: it was answered, and is there"),
        Some(_) => assert_eq!(notes(hub), "kept", "{when}"),
        None => {}
    });
}
