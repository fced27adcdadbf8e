//! Modules that do not run all the time, commands to modules, and devices that fall silent
//! (protocol, sections 4, 5 and 6).

use selena_tests::{Hub, Package, signature, wait};
use serde_json::{Value, json};

/// Sends a command as a person.
fn command(hub: &Hub, module: &str, body: &Value) -> selena_tests::Answer {
    hub.admin().post(&format!("/modules/{module}/command"), body)
}

#[test]
fn a_scheduled_module_runs_by_its_schedule_again_and_again() {
    let hub = Hub::start();
    let package =
        Package::probe("timed", 8100).with("runtime_mode", json!("scheduled")).with("schedule", json!("every:1s"));
    assert_eq!(hub.try_install(&package).expect(201).json()["status"], "READY");
    let first = wait::for_some("its first run", 15, || hub.try_module("timed"));
    wait::until("it runs", 10, || hub.status("timed") == "RUNNING");
    first.misbehave(&json!({ "act": "exit", "code": 0 }));
    let second = wait::for_some("its second run", 15, || {
        hub.try_module("timed").filter(|module| module.container != first.container)
    });
    assert_ne!(second.container, first.container);
    let ended = hub.events("module.stopped");
    assert_eq!(ended[0]["payload"]["reason"], "it ended by itself", "an end with 0 is no crash");
    assert!(hub.events("module.crashed").is_empty());
    let _stopped = hub.client().post("/modules/timed/stop", &json!({})).expect(200);
    assert_eq!(hub.status("timed"), "STOPPED");
}

#[test]
fn a_scheduled_module_may_be_done_before_it_is_asked_for_its_health() {
    let hub = Hub::start();
    let package = Package::probe("quick", 8100)
        .with("runtime_mode", json!("scheduled"))
        .with("schedule", json!("every:1s"))
        .start(json!({ "do": "exit_with_data", "code": 0 }));
    assert_eq!(hub.try_install(&package).expect(201).json()["status"], "READY");
    let first = wait::for_some("its first run", 15, || hub.try_module("quick"));
    wait::until("it runs", 10, || hub.status("quick") == "RUNNING");
    // From now on it has data, and with data it ends at once.
    let _written = first.act(&json!({ "act": "write", "path": "/data/notes", "text": "done" }));
    first.misbehave(&json!({ "act": "exit", "code": 0 }));
    wait::until("it ran five times", 60, || hub.events("module.stopped").len() >= 5);
    assert!(hub.events("module.crashed").is_empty() && hub.events("module.error").is_empty());
}

#[test]
fn a_command_starts_a_module_on_demand_and_brings_its_answer() {
    let hub = Hub::start();
    let _ready = hub.try_install(&Package::probe("seldom", 8100).with("runtime_mode", json!("on_demand"))).expect(201);
    assert!(hub.try_module("seldom").is_none(), "it does not run yet");
    let answer = command(&hub, "seldom", &json!({ "command": "blink", "args": { "times": 3 } })).expect(200).json();
    let heard = &answer["result"];
    let body: Value = serde_json::from_str(heard["body"].as_str().expect("a text")).expect("JSON");
    assert_eq!((&body["command"], &body["args"]), (&json!("blink"), &json!({ "times": 3 })));
    assert!(body["id"].is_string() && body["timestamp"].is_string(), "{body}");
    let secret = hub.module("seldom").webhook_secret();
    let expected = signature::of(&secret, heard["body"].as_str().unwrap_or_default().as_bytes());
    assert_eq!(heard["headers"]["x-selena-signature"], expected, "signed as events are");
    assert_eq!(hub.status("seldom"), "RUNNING");
}

#[test]
fn a_command_that_cannot_be_delivered_says_why() {
    let hub = Hub::start();
    let _module = hub.install(&Package::probe("mover", 8100));
    command(&hub, "nobody", &json!({ "command": "x" })).refused(404, "not_found");
    let problems = command(&hub, "mover", &json!({ "args": 1 })).expect(422).json();
    assert_eq!(problems["detail"][0]["loc"], json!(["body", "command"]));
    let _stopped = hub.client().post("/modules/mover/stop", &json!({})).expect(200);
    command(&hub, "mover", &json!({ "command": "x" })).refused(409, "not_running");
}

#[test]
fn a_silent_device_is_told_offline_once_and_online_with_its_next_state() {
    let hub = Hub::start();
    let body = json!({ "name": "d", "type": "actuator", "protocol": "test", "meta": { "heartbeat_s": 1 } });
    let device = hub.client().post("/devices", &body).expect(201).json()["device_id"].clone();
    wait::until("it is offline", 15, || !hub.events("device.offline").is_empty());
    assert_eq!(hub.events("device.offline")[0]["payload"]["device_id"], device);
    assert!(hub.events("device.offline")[0]["payload"]["since"].is_f64());
    let path = format!("/devices/{}/state", device.as_str().expect("an id"));
    let _set = hub.client().patch(&path, &json!({ "state": { "on": true } })).expect(200);
    wait::until("it is online", 5, || !hub.events("device.online").is_empty());
    assert_eq!(hub.events("device.online")[0]["payload"]["device_id"], device);
    assert_eq!(hub.events("device.offline").len(), 1, "told once");
}
