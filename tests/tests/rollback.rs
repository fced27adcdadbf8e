//! Going back to the version before, by a person or because the new one fails (protocol, section 2, "Update").

use std::fs;

use selena_tests::{
    Hub, Module, Package,
    http::{Answer, Request},
    wait,
};
use serde_json::json;

const NOTES: &str = "/data/notes";

fn write(module: &Module, text: &str) {
    module.act(&json!({ "act": "write", "path": NOTES, "text": text }));
}

fn notes(module: &Module) -> String {
    module.act(&json!({ "act": "read", "path": NOTES }))["done"].as_str().expect("it can be read").to_owned()
}

fn version(version: &str) -> Package {
    Package::probe("mover", 8100).version(version)
}

fn rolled_back(hub: &Hub) -> Module {
    let answer = hub.client().post("/modules/mover/rollback", &json!({})).expect(200).json();
    assert_eq!((&answer["name"], &answer["status"]), (&json!("mover"), &json!("RUNNING")));
    hub.hears_again("mover", 10)
}

#[test]
fn a_person_goes_back_and_forth_and_each_version_has_its_data() {
    let mut hub = Hub::start();
    let first = hub.install(&version("1.0.0"));
    hub.client().post("/modules/mover/rollback", &json!({})).refused(409, "no_previous_version");
    hub.client().post("/modules/nobody/rollback", &json!({})).refused(404, "not_found");
    write(&first, "of the first");
    let _second = hub.try_install(&version("2.0.0")).expect(201);
    let second = hub.hears_again("mover", 10);
    assert_eq!(notes(&second), "of the first", "an update keeps the data");
    write(&second, "of the second");
    assert_eq!(hub.details("mover")["previous_version"], "1.0.0");

    let back = rolled_back(&hub);
    assert_eq!(notes(&back), "of the first");
    let details = hub.details("mover");
    assert_eq!((&details["version"], &details["previous_version"]), (&json!("1.0.0"), &json!("2.0.0")));
    assert_eq!((&details["last_update"]["from"], &details["last_update"]["to"]), (&json!("2.0.0"), &json!("1.0.0")));

    // The way back is there after a restart of the hub too.
    hub.kill();
    hub.start_again();
    let _runs = hub.hears_again("mover", 30);
    assert_eq!(notes(&rolled_back(&hub)), "of the second");

    // Only one version before is kept; and a rollback of a stopped module starts nothing.
    let _third = hub.try_install(&version("3.0.0")).expect(201);
    let _stopped = hub.client().post("/modules/mover/stop", &json!({})).expect(200);
    let answer = hub.client().post("/modules/mover/rollback", &json!({})).expect(200).json();
    assert_eq!((&answer["version"], &answer["status"]), (&json!("2.0.0"), &json!("STOPPED")));
    assert!(hub.try_module("mover").is_none());

    let _gone = hub.client().delete("/modules/mover").expect(204);
    for dir in ["aside", "previous", "volumes", "modules"] {
        let left: Vec<_> = fs::read_dir(hub.data_dir().join(dir)).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{dir}: {left:?}");
    }
}

fn install_lower(hub: &Hub, package: &Package) -> Answer {
    let request = Request::new("POST", "/modules/install?allow_downgrade=true");
    hub.client().send(&request.form("module", &package.zip()))
}

#[test]
fn m05_a_downgrade_on_a_persons_word_is_an_update_with_a_way_back() {
    let mut hub = Hub::start();
    let newer = hub.install(&version("2.0.0"));
    write(&newer, "of the newer");
    hub.try_install(&version("1.0.0")).refused(409, "manifest_version");

    // One that fails in its trial, or when it starts with the data there are, leaves what runs.
    let broken = version("1.0.0").start(json!({ "do": "exit", "code": 3 }));
    install_lower(&hub, &broken).refused(400, "sandbox_failed");
    let cannot_read = version("1.0.0").start(json!({ "do": "exit_with_data" }));
    install_lower(&hub, &cannot_read).refused(400, "health_timeout");
    assert_eq!(notes(&hub.hears_again("mover", 10)), "of the newer");
    assert_eq!(hub.details("mover")["version"], "2.0.0");

    // One that asks for more waits for a person, and is still allowed after a restart of the hub.
    let more = json!(["device.read", "device.write", "events.subscribe", "events.publish", "storage.read"]);
    let waits = install_lower(&hub, &version("1.5.0").with("permissions", more)).expect(202).json();
    hub.kill();
    hub.start_again();
    let _runs = hub.hears_again("mover", 30);
    let consent = json!({ "version": waits["version"], "adds": waits["adds"] });
    let _granted = hub.admin().post("/modules/mover/consent", &consent).expect(200);
    let older = hub.hears_again("mover", 10);
    assert_eq!(notes(&older), "of the newer", "a downgrade keeps the data, as any update does");
    write(&older, "of the older");
    let details = hub.details("mover");
    assert_eq!((&details["version"], &details["previous_version"]), (&json!("1.5.0"), &json!("2.0.0")));
    let told = hub.events("module.updated");
    let reason = told.last().expect("it is told")["payload"]["reason"].as_str().expect("a reason").to_owned();
    assert_eq!(reason, "a person allowed the lower version, after 2.0.0");
    assert!(hub.audit("module_downgrade").iter().any(|record| record["detail"].to_string().contains("after 2.0.0")));

    // The way back has the data as the newer version left them.
    assert_eq!(notes(&rolled_back(&hub)), "of the newer");
    assert_eq!(hub.details("mover")["version"], "2.0.0");
}

#[test]
fn a_new_version_that_fails_within_its_first_minute_goes_by_itself() {
    let hub = Hub::start();
    let first = hub.install(&version("1.0.0"));
    write(&first, "of the first");
    let _second = hub.try_install(&version("2.0.0")).expect(201);
    let second = hub.hears_again("mover", 10);
    write(&second, "spoilt");
    second.misbehave(&json!({ "act": "exit", "code": 3 }));
    wait::until("the version before is back", 30, || hub.details("mover")["version"] == "1.0.0");
    let back = hub.hears_again("mover", 30);
    assert_eq!(notes(&back), "of the first");
    let reason = hub.details("mover")["last_update"]["reason"].as_str().expect("a reason").to_owned();
    assert_eq!(reason, "version 2.0.0 failed within its first minute: it ended: exit code 3");
    let told = hub.events("module.updated");
    assert_eq!(told.last().expect("it is told")["payload"]["reason"], reason.as_str());
    assert!(hub.events("module.crashed").is_empty(), "it is no crash of the version that is back");

    // The one that is back crashes like any other, and does not go anywhere.
    back.misbehave(&json!({ "act": "exit", "code": 3 }));
    wait::until("that is a crash", 30, || hub.events("module.crashed").len() == 1);
    assert_eq!(hub.details("mover")["version"], "1.0.0");
}

#[test]
fn a_version_before_that_does_not_start_any_more_leaves_what_runs() {
    let hub = Hub::start();
    // It starts only once: in its trial, and when it is installed, there are no notes yet.
    let once = version("1.0.0").start(json!({ "do": "exit_with_data" }));
    let _first = hub.install(&once);
    let notes_of_first = hub.module("mover");
    write(&notes_of_first, "of the first");
    let _second = hub.try_install(&version("2.0.0")).expect(201);
    let second = hub.hears_again("mover", 10);
    write(&second, "of the second");
    hub.client().post("/modules/mover/rollback", &json!({})).refused(400, "health_timeout");
    let still = hub.hears_again("mover", 10);
    assert_eq!(notes(&still), "of the second");
    let details = hub.details("mover");
    assert_eq!((&details["version"], &details["previous_version"]), (&json!("2.0.0"), &json!("1.0.0")));
}
