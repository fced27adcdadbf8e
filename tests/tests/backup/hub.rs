//! A whole hub: what it was comes back on a fresh one, under another data directory and another key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use selena_tests::{Hub, Package, http::Request, search, wait};
use serde_json::{Value, json};

use super::{NOTES, backup, desk, restore};

/// A module with nothing but the Python base.
const MAIN: &[u8] = include_bytes!("../../modules/python/main.py");

/// Ends the writer also if the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn acts(hub: &Hub, act: &Value) -> Option<Value> {
    let module = hub.try_module("keeper")?;
    let answer = module.probe().try_send(&Request::new("POST", "/act").json(act)).ok()?;
    (answer.status == 200).then(|| answer.json()["done"].clone()).filter(|done| !done.is_null())
}

/// Writes one number after the other into the module's data until it is told to end; the last one that was written.
fn write_on(hub: &Hub, end: &AtomicBool, written: &AtomicU64) {
    let mut number = 0;
    while !end.load(Ordering::SeqCst) {
        number += 1;
        let text = format!("{number} {}", "x".repeat(5000));
        if acts(hub, &json!({ "act": "write", "path": NOTES, "text": text })).is_some() {
            written.store(number, Ordering::SeqCst);
        }
    }
}

#[test]
fn a_whole_hub_comes_back_on_a_fresh_one_with_what_was_written_while_it_was_copied() {
    let old = Hub::unlimited();
    let schema = json!({ "type": "object", "properties": { "every": { "type": "integer" } } });
    let keeper = old.install(&Package::probe("keeper", 8100).with("config_schema", schema));
    let _snake = old.install(
        &Package::plain("snake", 8101).file("main.py", MAIN, 0o644).with("resources", json!({ "memory_mb": 64 })),
    );
    let _set = old.admin().post("/modules/keeper/config", &json!({ "key": "every", "value": 7 }));
    let device = old.device("sensor");
    let _state =
        old.client().patch(&format!("/devices/{device}/state"), &json!({ "state": { "on": true } })).expect(200);
    let secret = keeper.webhook_secret();
    // The version before goes along.
    keeper.act(&json!({ "act": "write", "path": NOTES, "text": "of the first" }));
    let _second = old.try_install(&Package::probe("keeper", 8100).version("1.1.0")).expect(201);
    wait::until("the second version runs", 20, || old.details("keeper")["version"] == "1.1.0");

    let (desk, key) = desk();
    let (end, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (before, file) = thread::scope(|scope| {
        scope.spawn(|| write_on(&old, &end, &written));
        let _ends = Ends(&end);
        wait::until("it writes", 20, || written.load(Ordering::SeqCst) > 0);
        let before = written.load(Ordering::SeqCst);
        let file = backup(&desk, &old, "hub.age", &[]);
        (before, file)
    });
    let after = written.load(Ordering::SeqCst);
    wait::until("the old hub's modules run again", 30, || old.status("keeper") == "RUNNING");
    assert!(!old.audit("backup_create").is_empty());
    let bytes = std::fs::read(&file).expect("readable");
    assert!(!search::holds(&bytes, secret.as_bytes()) && !search::holds(&bytes, b"of the first"), "it is encrypted");
    assert!(old.admin().get("/backup/status/stream").text().contains("\"DONE\""));
    let report = desk.ctl(&old, &["--json", "backup", "check", "hub.age", "-i", &key]).done().json();
    assert_eq!((&report["status"], &report["scope"]), (&json!("GOOD"), &json!("hub")));

    let new = Hub::unlimited();
    let told = restore(&desk, &new, &key, "hub.age", &[]).done().json();
    assert_eq!(told["status"], "RESTARTING");
    for name in ["keeper", "snake"] {
        wait::until("the module runs on the new hub", 60, || {
            new.admin()
                .try_send(&Request::new("GET", &format!("/modules/{name}")))
                .is_ok_and(|answer| answer.status == 200 && answer.json()["status"] == "RUNNING")
        });
    }
    let back = new.module("keeper");
    let notes = back.act(&json!({ "act": "read", "path": NOTES }))["done"].as_str().expect("notes").to_owned();
    let (number, rest) = notes.split_once(' ').expect("what was written");
    let number: u64 = number.parse().expect("a number");
    assert!((before..=after).contains(&number), "{before} <= {number} <= {after}");
    assert!(rest.len() == 5000, "no half of a file");
    assert_eq!(back.webhook_secret(), secret, "who verifies webhooks still can");
    assert_eq!(new.admin().get("/modules/keeper/config").json(), json!({ "config": { "every": 7 } }));
    let path = format!("/devices/{device}");
    assert_eq!(back.core().get(&path).expect(200).json(), old.client().get(&path).expect(200).json());
    let history = new.client().get(&format!("{path}/history")).expect(200).json();
    assert_eq!(history, old.client().get(&format!("{path}/history")).expect(200).json());
    assert!(!new.audit("backup_restored").is_empty());
    assert_eq!(search::files_with(&new.data_dir(), &[&secret]), [""; 0], "no secret in clear");

    // A hub that has something is replaced only if that is said; and the version before is there.
    restore(&desk, &new, &key, "hub.age", &[]).refused("backup_replace");
    let _back = new.client().post("/modules/keeper/rollback", &json!({})).expect(200);
    let first = new.hears_again("keeper", 20).act(&json!({ "act": "read", "path": NOTES }));
    assert_eq!(first["done"], "of the first");
    let _extra = new.install(&Package::probe("extra", 8102));
    let _again = restore(&desk, &new, &key, "hub.age", &["--replace"]).done();
    wait::until("what was not in the backup is gone, with its images", 90, || {
        let images = selena_tests::Engine::default().images(new.prefix());
        new.admin().try_send(&Request::new("GET", "/modules/extra")).is_ok_and(|answer| answer.status == 404)
            && new.try_module("extra").is_none()
            && images.iter().all(|image| !image["RepoTags"].to_string().contains("extra"))
    });
    wait::until("and the modules run", 60, || new.status("keeper") == "RUNNING" && new.status("snake") == "RUNNING");
}
