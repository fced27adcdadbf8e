//! The transactions of a module's life, as they are walked: the state before, the request, and what may be afterwards.
//!
//! Each is walked with whatever is killed ([`Victim`]); the module is always the same one.

use std::fs;

use serde_json::{Value, json};

use crate::{
    Hub, Package,
    http::Request,
    wait,
    walk::{Ended, Victim, Walk},
};

/// The module they are about.
pub const NAME: &str = "survivor";
/// Where it keeps what must not be lost.
const NOTES: &str = "/data/notes";
/// How long it may take to be heard again.
const SECS: u64 = 60;

/// Version 1.`minor`.0 of the module.
#[must_use]
pub fn package(minor: u64) -> Package {
    Package::probe(NAME, 8100).version(&format!("1.{minor}.0"))
}

/// The same, asking for what only a person grants.
fn asking(minor: u64) -> Package {
    let rule = json!([{ "host": "api.example.com", "port": 443, "protocol": "tcp" }]);
    let permissions = json!(["device.read", "events.subscribe", "network.egress"]);
    package(minor).with("permissions", permissions).with("network", json!({ "egress": rule }))
}

/// The same, with few permissions, so that [`package`] asks for more.
fn modest(minor: u64) -> Package {
    package(minor).with("permissions", json!(["device.read", "events.subscribe"]))
}

/// Sends a request that may never be answered.
fn ask(hub: &Hub, request: &Request) -> Option<u16> {
    hub.client().try_send(request).ok().map(|answer| answer.status)
}

fn post(hub: &Hub, path: &str, body: &Value) -> Option<u16> {
    ask(hub, &Request::new("POST", &format!("/modules/{NAME}/{path}")).json(body))
}

/// Uploads a package; the status of the answer, if there is one.
#[must_use]
pub fn upload(hub: &Hub, package: &Package) -> Option<u16> {
    ask(hub, &Request::new("POST", "/modules/install").form("module", &package.zip()))
}

/// The minor version that is installed.
#[must_use]
pub fn installed(hub: &Hub) -> Option<u64> {
    let answer = hub.admin().get(&format!("/modules/{NAME}"));
    match answer.status {
        404 => None,
        _ => answer.json()["version"].as_str()?.split('.').nth(1)?.parse().ok(),
    }
}

fn remove_if_there(hub: &Hub) {
    if installed(hub).is_some() {
        let _gone = hub.admin().delete(&format!("/modules/{NAME}")).expect(204);
    }
}

/// Installs the module with its notes, if it is not there; its minor version.
fn there_with_notes(hub: &Hub) -> u64 {
    if installed(hub).is_none() {
        let module = hub.install(&package(0));
        module.act(&json!({ "act": "write", "path": NOTES, "text": "kept" }));
    }
    installed(hub).expect("it is there")
}

fn notes(hub: &Hub) -> Value {
    let module = hub.hears_again(NAME, SECS);
    module.act(&json!({ "act": "read", "path": NOTES }))["done"].clone()
}

/// Nothing is asserted of what runs but that it works, if it is to run.
fn works(hub: &Hub) {
    if installed(hub).is_some() && hub.status(NAME) == "RUNNING" {
        let _heard = hub.hears_again(NAME, SECS);
    }
}

fn shown(hub: &Hub) -> Value {
    let asked = hub.admin().get(&format!("/modules/{NAME}/consent")).expect(200).json();
    json!({ "version": asked["version"], "adds": asked["adds"] })
}

/// W01: a module is installed, or never was.
pub fn install(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    Walk {
        name: "W01 install",
        most,
        ends: &[201],
        before: &remove_if_there,
        act: &|hub| upload(hub, &package(0)),
        after: &|hub, (), ended| {
            assert!(!ended.well() || installed(hub).is_some(), "{ended:?}: it was answered, and is gone");
            works(hub);
        },
    }
    .at_each_point(hub, victim);
}

/// W02: the old version runs or the new one, with its data.
pub fn update(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    Walk {
        name: "W02 update",
        most,
        ends: &[201],
        before: &there_with_notes,
        act: &|hub| upload(hub, &package(installed(hub)? + 1)),
        after: &|hub, old, ended| {
            let now = installed(hub).expect("it is there");
            assert!(now == old + 1 || (now == *old && !ended.well()), "{ended:?}: {old} became {now}");
            assert_eq!(notes(hub), "kept", "{ended:?}");
        },
    }
    .at_each_point(hub, victim);
}

/// W02: an update whose version fails after its trial goes back to the old version and its data, wherever it is cut.
pub fn failing_update(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    Walk {
        name: "W02 failing update",
        most,
        ends: &[400],
        before: &there_with_notes,
        act: &|hub| upload(hub, &package(installed(hub)? + 1).start(json!({ "do": "exit_with_data" }))),
        after: &|hub, old, ended| {
            assert_eq!(installed(hub), Some(*old), "{ended:?}");
            assert_eq!(notes(hub), "kept", "{ended:?}");
        },
    }
    .at_each_point(hub, victim);
}

/// W02: a rollback leaves one of both versions, with its own data and the other one to go back to.
pub fn rollback(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    let write = |hub: &Hub, text: &str| {
        hub.hears_again(NAME, SECS).act(&json!({ "act": "write", "path": NOTES, "text": text }));
    };
    let before = |hub: &Hub| {
        if installed(hub).is_none() {
            assert_eq!(upload(hub, &package(0)), Some(201));
            write(hub, "notes of 0");
            assert_eq!(upload(hub, &package(1)), Some(201));
            write(hub, "notes of 1");
        }
        installed(hub).expect("it is there")
    };
    Walk {
        name: "W02 rollback",
        most,
        ends: &[200],
        before: &before,
        act: &|hub| post(hub, "rollback", &json!({})),
        after: &|hub, old, ended| {
            let now = installed(hub).expect("it is there");
            assert!(now == 1 - old || (now == *old && !ended.well()), "{ended:?}: {old} became {now}");
            assert_eq!(notes(hub), format!("notes of {now}"), "{ended:?}");
            assert_eq!(hub.details(NAME)["previous_version"], format!("1.{}.0", 1 - now), "{ended:?}");
        },
    }
    .at_each_point(hub, victim);
}

/// W03: a module is gone with all that was its own, or is there.
pub fn removal(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    let before = |hub: &Hub| {
        let _minor = there_with_notes(hub);
        let _stored = post(hub, "config", &json!({ "key": "every", "value": 1 }));
    };
    Walk {
        name: "W03 remove",
        most,
        ends: &[204],
        before: &before,
        act: &|hub| ask(hub, &Request::new("DELETE", &format!("/modules/{NAME}"))),
        after: &|hub, (), ended| {
            assert!(!ended.well() || installed(hub).is_none(), "{ended:?}: it was answered, and is there");
            if installed(hub).is_some() {
                assert_eq!(notes(hub), "kept", "{ended:?}");
            }
        },
    }
    .at_each_point(hub, victim);
}

/// W01: a first install is granted and runs, or waits.
pub fn consent(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    let before = |hub: &Hub| {
        remove_if_there(hub);
        assert_eq!(upload(hub, &asking(0)), Some(202));
    };
    Walk {
        name: "W01 consent",
        most,
        ends: &[200],
        before: &before,
        act: &|hub| post(hub, "consent", &shown(hub)),
        after: &|hub, (), ended| {
            let status = hub.status(NAME);
            assert!(status == "RUNNING" || (status == "AWAITING_CONSENT" && !ended.well()), "{ended:?}: {status}");
            works(hub);
        },
    }
    .at_each_point(hub, victim);
}

/// W01: an upload that takes the place of one which waits for a person leaves one of both, whole, or none.
pub fn replacement(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    let before = |hub: &Hub| {
        remove_if_there(hub);
        assert_eq!(upload(hub, &asking(0)), Some(202));
    };
    let after = |hub: &Hub, (): &(), ended: &Ended| {
        let now = installed(hub);
        assert!(now == Some(1) || !ended.well(), "{ended:?}: it was answered, and {now:?} waits");
        let Some(minor) = now else { return };
        assert_eq!(hub.status(NAME), "AWAITING_CONSENT", "{ended:?}");
        let placed = hub.data_dir().join("modules").join(NAME).join("manifest.json");
        let placed: Value = serde_json::from_slice(&fs::read(placed).expect("its package is there")).expect("JSON");
        assert_eq!(
            placed["version"],
            format!("1.{minor}.0"),
            "{ended:?}: another package than the one that is told of"
        );
        assert_eq!(shown(hub)["version"], placed["version"], "{ended:?}");
    };
    let act = |hub: &Hub| upload(hub, &asking(1));
    Walk { name: "W01 replacement", most, ends: &[202], before: &before, act: &act, after: &after }
        .at_each_point(hub, victim);
}

/// W02: an update that asks for more waits, or never came; the old version runs.
pub fn asking_update(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    let before = |hub: &Hub| {
        if installed(hub).is_none() {
            assert_eq!(upload(hub, &modest(0)), Some(201));
        }
        let _may_wait_for_nothing = hub.admin().delete(&format!("/modules/{NAME}/consent"));
    };
    Walk {
        name: "W02 asking update",
        most,
        ends: &[202],
        before: &before,
        act: &|hub| upload(hub, &package(1)),
        after: &|hub, (), ended| {
            assert_eq!(installed(hub), Some(0), "{ended:?}");
            let waits = hub.admin().get(&format!("/modules/{NAME}/consent")).status == 200;
            assert!(waits || !ended.well(), "{ended:?}: it was answered, and nothing waits");
            works(hub);
        },
    }
    .at_each_point(hub, victim);
}

/// W02: an update that waited is granted and runs, or still waits.
pub fn granted_update(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    let before = |hub: &Hub| {
        remove_if_there(hub);
        assert_eq!(upload(hub, &modest(0)), Some(201));
        assert_eq!(upload(hub, &package(1)), Some(202));
    };
    Walk {
        name: "W02 granted update",
        most,
        ends: &[200],
        before: &before,
        act: &|hub| post(hub, "consent", &shown(hub)),
        after: &|hub, (), ended| {
            let now = installed(hub).expect("it is there");
            assert!(now == 1 || (now == 0 && !ended.well()), "{ended:?}: 0 became {now}");
            let waits = hub.admin().get(&format!("/modules/{NAME}/consent")).status == 200;
            assert_eq!(waits, now == 0, "{ended:?}: an update is lost, or waits again");
            works(hub);
        },
    }
    .at_each_point(hub, victim);
}

/// R05: a module that crashed is started again, whatever is killed meanwhile.
pub fn retry(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    let crash_and_wait = |hub: &Hub| {
        let before = hub.try_module(NAME)?;
        before.misbehave(&json!({ "act": "exit", "code": 1 }));
        let runs = |hub: &Hub| {
            let answer = hub.admin().try_send(&Request::new("GET", &format!("/modules/{NAME}")));
            match answer {
                Err(_killed) => Some(None),
                Ok(answer) if answer.json()["status"] == "RUNNING" => {
                    hub.try_module(NAME).filter(|now| now.container != before.container).map(|_| Some(200))
                }
                Ok(_) => None,
            }
        };
        wait::for_some("it runs again, or the hub is dead", SECS, || runs(hub))
    };
    let before = |hub: &Hub| {
        // Five crashes in ten minutes are a quarantine, so each crash is the first of its install.
        remove_if_there(hub);
        there_with_notes(hub);
    };
    let after = |hub: &Hub, (): &(), ended: &Ended| {
        assert_eq!(hub.status(NAME), "RUNNING", "{ended:?}");
        assert_eq!(notes(hub), "kept", "{ended:?}");
    };
    Walk { name: "R05 retry", most, ends: &[200], before: &before, act: &crash_and_wait, after: &after }
        .at_each_point(hub, victim);
}

/// Stopping and starting: it stays what was answered.
pub fn stop_and_start(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    let before = |hub: &Hub| {
        let _minor = there_with_notes(hub);
        hub.status(NAME)
    };
    let act = |hub: &Hub| {
        let other = if hub.status(NAME) == "RUNNING" { "stop" } else { "start" };
        post(hub, other, &json!({}))
    };
    let after = |hub: &Hub, old: &String, ended: &Ended| {
        let now = hub.status(NAME);
        assert!(now != *old || !ended.well(), "{ended:?}: it was answered, and is {now} as before");
        works(hub);
    };
    Walk { name: "W02 stop, start", most, ends: &[200], before: &before, act: &act, after: &after }
        .at_each_point(hub, victim);
}

/// W11: a setting has the old value or the new one.
pub fn config_change(hub: &mut Hub, victim: &mut dyn Victim, most: usize) {
    let value = |hub: &Hub| hub.admin().get(&format!("/modules/{NAME}/config")).json()["config"]["every"].clone();
    let before = |hub: &Hub| {
        let _minor = there_with_notes(hub);
        value(hub).as_u64().unwrap_or(0)
    };
    let act =
        |hub: &Hub| post(hub, "config", &json!({ "key": "every", "value": value(hub).as_u64().unwrap_or(0) + 1 }));
    let after = |hub: &Hub, old: &u64, ended: &Ended| {
        let now = value(hub).as_u64().unwrap_or(0);
        assert!(now == old + 1 || (now == *old && !ended.well()), "{ended:?}: {old} became {now}");
    };
    Walk { name: "W11 config change", most, ends: &[200, 204], before: &before, act: &act, after: &after }
        .at_each_point(hub, victim);
}
