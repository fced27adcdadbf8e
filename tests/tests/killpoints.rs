//! W01–W03, W11: the hub is killed before and after every change that an install, an update, a rollback, a removal, and a
//! restore from a backup make,
//! and is afterwards in the old or in the new state, with nothing left over.
//!
//! The points are counted by the hub itself (`selena-killpoints`); each run kills at the next one, until the transaction
//! comes to its end first. What was reached is printed.

#![expect(clippy::print_stdout, reason = "what was reached is the test's result")]

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use selena_backup::age::Identity;
use selena_tests::{Desk, Engine, Hub, Package, http::Request, wait};
use serde_json::json;

const NAME: &str = "survivor";
/// How long a hub may take to be in order again (protocol: no orphan after 60 s).
const SECS: Duration = Duration::from_secs(60);
/// More changes than any transaction makes: a loop that does not come to its end is stopped there.
const MOST: u64 = 300;

fn package(minor: u64) -> Package {
    Package::probe(NAME, 8100).version(&format!("1.{minor}.0"))
}

/// Sends a request that the hub may not live to answer; whether it answered, and with what.
fn ask(hub: &Hub, request: &Request) -> Option<u16> {
    hub.client().try_send(request).ok().map(|answer| answer.status)
}

fn install(hub: &Hub, minor: u64) -> Option<u16> {
    ask(hub, &Request::new("POST", "/modules/install").form("module", &package(minor).zip()))
}

fn entries(hub: &Hub, dir: &str) -> Vec<String> {
    let entries = fs::read_dir(hub.data_dir().join(dir)).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The minor version that is installed, if the module is there.
fn installed(hub: &Hub) -> Option<u64> {
    let answer = hub.admin().try_send(&Request::new("GET", &format!("/modules/{NAME}"))).ok()?;
    match answer.status {
        404 => None,
        _ => answer.json()["version"].as_str()?.split('.').nth(1)?.parse().ok(),
    }
}

/// Nothing of the module is anywhere.
fn is_gone(hub: &Hub) -> bool {
    let engine = Engine::default();
    installed(hub).is_none()
        && ["modules", "volumes", "aside", "previous", "pending", "staging"]
            .iter()
            .all(|dir| entries(hub, dir).is_empty())
        && engine.containers(hub.prefix()).is_empty()
        && engine.images(hub.prefix()).is_empty()
}

/// The module runs, and nothing but what belongs to it is there.
fn is_whole(hub: &Hub) -> bool {
    let engine = Engine::default();
    installed(hub).is_some()
        && hub.status(NAME) == "RUNNING"
        && ["aside", "pending", "staging", "restoring", "restore"].iter().all(|dir| entries(hub, dir).is_empty())
        && entries(hub, "modules") == [NAME]
        && engine.containers(hub.prefix()).len() == 1
        && engine.images(hub.prefix()).len() == 1
}

/// What there is of the module, for the message of a test that fails.
fn found(hub: &Hub) -> String {
    let dirs = ["modules", "volumes", "aside", "previous", "pending", "staging"].map(|dir| (dir, entries(hub, dir)));
    let engine = Engine::default();
    let names =
        |all: Vec<serde_json::Value>, field: &str| all.iter().map(|one| one[field].to_string()).collect::<Vec<_>>();
    let containers = names(engine.containers(hub.prefix()), "Names");
    let images = names(engine.images(hub.prefix()), "RepoTags");
    format!("{dirs:?}, {containers:?}, {images:?}, {}", hub.details(NAME))
}

/// Waits until the module is whole or gone.
fn settle(hub: &Hub, when: &str) {
    let deadline = Instant::now() + SECS;
    wait::until(when, 2 * SECS.as_secs(), || {
        let settled = is_gone(hub) || is_whole(hub);
        assert!(settled || Instant::now() < deadline, "{when}: {}", found(hub));
        settled
    });
}

/// Kills a hub at each change of a transaction in turn, and looks at what it is after a restart.
fn at_each_point(id: &str, hub: &mut Hub, act: impl Fn(&Hub) -> Option<u16>, in_order: impl Fn(&Hub, &str)) {
    let mut reached = BTreeMap::<String, u32>::new();
    for number in 1..MOST {
        hub.start_again_to_die_at(number);
        settle(hub, &format!("{id}: before number {number}"));
        hub.count_points();
        let status = act(hub);
        let points = hub.points();
        let last = points.last().cloned().unwrap_or_default();
        let killed = points.len() as u64 == number;
        if killed {
            hub.kill();
        }
        hub.forget_points();
        if killed {
            hub.start_again();
        }
        settle(hub, &format!("{id}: killed at {last}"));
        in_order(hub, &last);
        if !killed {
            let status = status.unwrap_or_default();
            assert!((200..300).contains(&status), "{id}: it ended with {status}");
            assert!(number > 10, "{id}: only {number} changes were counted");
            println!("{id}: killed at {} changes; those that follow one another:", number - 1);
            for (what, times) in reached {
                println!("  {times} × {what}");
            }
            return;
        }
        let what = last.split_once(' ').map_or(last.as_str(), |(_, what)| what);
        *reached.entry(what.to_owned()).or_default() += 1;
    }
    panic!("{id}: no end after {MOST} changes");
}

#[test]
fn w01_an_install_is_whole_or_never_was() {
    let mut hub = Hub::unlimited();
    let act = |hub: &Hub| {
        if installed(hub).is_some() {
            let _makes_room = hub.client().delete(&format!("/modules/{NAME}")).expect(204);
        }
        install(hub, 0)
    };
    at_each_point("W01", &mut hub, act, |hub, last| {
        if installed(hub).is_some() {
            let _works = hub.hears_again(NAME, SECS.as_secs());
        } else {
            assert!(is_gone(hub), "killed at {last}");
        }
    });
}

#[test]
fn w02_an_update_leaves_the_old_or_the_new_version_with_its_data() {
    let mut hub = Hub::unlimited();
    let module = hub.install(&package(0));
    module.act(&json!({ "act": "write", "path": "/data/notes", "text": "kept" }));
    let act = |hub: &Hub| install(hub, installed(hub).expect("it is there") + 1);
    at_each_point("W02 update", &mut hub, act, |hub, last| {
        let module = hub.hears_again(NAME, SECS.as_secs());
        let notes = module.act(&json!({ "act": "read", "path": "/data/notes" }));
        assert_eq!(notes["done"], "kept", "killed at {last}");
    });
}

#[test]
fn w02_a_rollback_leaves_one_of_both_versions_with_its_own_data() {
    let mut hub = Hub::unlimited();
    let write = |hub: &Hub, text: &str| {
        let module = hub.hears_again(NAME, SECS.as_secs());
        module.act(&json!({ "act": "write", "path": "/data/notes", "text": text }));
    };
    let _first = hub.install(&package(0));
    write(&hub, "notes of 0");
    assert_eq!(install(&hub, 1), Some(201));
    write(&hub, "notes of 1");
    let act = |hub: &Hub| ask(hub, &Request::new("POST", &format!("/modules/{NAME}/rollback")));
    at_each_point("W02 rollback", &mut hub, act, |hub, last| {
        let module = hub.hears_again(NAME, SECS.as_secs());
        let version = installed(hub).expect("it is there");
        let notes = module.act(&json!({ "act": "read", "path": "/data/notes" }));
        assert_eq!(notes["done"], format!("notes of {version}"), "killed at {last}");
        let other = format!("1.{}.0", 1 - version);
        assert_eq!(hub.details(NAME)["previous_version"], other, "killed at {last}");
        assert_eq!(entries(hub, "previous"), [NAME], "killed at {last}");
    });
}

#[test]
fn w03_a_removal_is_total_or_never_was() {
    let mut hub = Hub::unlimited();
    let act = |hub: &Hub| {
        if installed(hub).is_none() && install(hub, 0) != Some(201) {
            return None;
        }
        ask(hub, &Request::new("DELETE", &format!("/modules/{NAME}")))
    };
    at_each_point("W03", &mut hub, act, |hub, last| {
        if installed(hub).is_some() {
            let _works = hub.hears_again(NAME, SECS.as_secs());
        } else {
            assert!(is_gone(hub), "killed at {last}");
        }
    });
}

/// A private key of age-keygen that opens nothing of worth.
const IDENTITY: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

/// A backup of the hub, or of its module, with notes that say so.
fn backup(hub: &Hub, more: &[&str]) -> Vec<u8> {
    write_notes(hub, "as it was");
    let desk = Desk::default();
    let recipient = IDENTITY.parse::<Identity>().expect("an identity").recipient().to_string();
    let arguments = [&["backup", "create", "--recipient", &recipient, "-o", "b.age"], more].concat();
    let _made = desk.ctl(hub, &arguments).done();
    fs::read(desk.path().join("b.age")).expect("it was made")
}

fn write_notes(hub: &Hub, text: &str) {
    let module = hub.hears_again(NAME, SECS.as_secs());
    module.act(&json!({ "act": "write", "path": "/data/notes", "text": text }));
}

fn restore(hub: &Hub, file: &[u8]) -> Option<u16> {
    let mut body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"identity\"\r\n\r\n{IDENTITY}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"backup\"; filename=\"b\"\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--b--\r\n");
    ask_admin(hub, &Request::new("POST", "/restore?replace=true").body("multipart/form-data; boundary=b", body))
}

fn ask_admin(hub: &Hub, request: &Request) -> Option<u16> {
    hub.admin().try_send(request).ok().map(|answer| answer.status)
}

/// The notes are those of before or those of the backup, whole.
fn has_either(hub: &Hub, last: &str) {
    let notes = hub.hears_again(NAME, SECS.as_secs()).act(&json!({ "act": "read", "path": "/data/notes" }));
    assert!(notes["done"] == "newer" || notes["done"] == "as it was", "killed at {last}: {notes}");
    write_notes(hub, "newer");
}

#[test]
fn w11_a_restored_module_is_the_one_of_before_or_the_one_of_the_backup() {
    let mut hub = Hub::unlimited();
    let _module = hub.install(&package(0));
    let file = backup(&hub, &["--module", NAME]);
    write_notes(&hub, "newer");
    at_each_point("W11 module", &mut hub, |hub| restore(hub, &file), has_either);
}

/// Whether the process is gone, though nobody has waited for it.
fn is_dead(hub: &Hub) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", hub.pid())).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('Z') || rest.is_empty())
}

#[test]
fn w11_a_restored_hub_is_the_one_of_before_or_the_one_of_the_backup() {
    let mut hub = Hub::unlimited();
    let _module = hub.install(&package(0));
    let file = backup(&hub, &[]);
    write_notes(&hub, "newer");
    let act = |hub: &Hub| {
        let before = hub.module(NAME).container;
        let status = restore(hub, &file);
        // It starts itself again, and may die of that too.
        wait::until("the hub runs with what was restored, or is dead", SECS.as_secs(), || {
            let anew = || hub.try_module(NAME).is_some_and(|module| module.container != before);
            is_dead(hub) || (status == Some(202) && anew() && is_whole(hub))
        });
        status
    };
    at_each_point("W11 hub", &mut hub, act, has_either);
}
