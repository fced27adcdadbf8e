//! SAFE MODE, as the integrity agent brings it about (protocol, section 8.2; series B).

use std::fs;

use selena_tests::{
    Engine, Hub, Package,
    http::{Answer, Client, Request},
    wait,
};
use serde_json::{Value, json};

/// A request as the agent sends it.
fn agent_sends(hub: &Hub, through: &Client, path: &str, body: &Value) -> Answer {
    let secret = fs::read_to_string(hub.data_dir().join("secure/agent.secret")).expect("the hub made it");
    through.send(&Request::new("POST", path).header("X-Agent-Secret", secret.trim()).json(body))
}

fn agent_reports(hub: &Hub, path: &str, body: &Value) -> Answer {
    agent_sends(hub, &hub.anonymous(), path, body)
}

/// What the agent says it found, just now.
fn agent_found(hub: &Hub, status: &str, files: &[&str]) {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux");
    let uptime = fs::read_to_string("/proc/uptime").expect("Linux");
    let uptime: f64 = uptime.split(' ').next().and_then(|secs| secs.parse().ok()).expect("seconds");
    let state = json!({
        "status": status, "last_check": "2026-01-01T00:00:00Z", "check_interval_sec": 60, "files_checked": 3,
        "changed_files": files, "restore_attempts": 0, "boot_id": boot_id.trim(), "checked_at_boot_secs": uptime,
    });
    let written = hub.data_dir().join("integrity.new");
    fs::write(&written, state.to_string()).expect("written");
    fs::rename(written, hub.data_dir().join("integrity.json")).expect("renamed");
}

fn violation() -> Value {
    json!({ "status": "VIOLATED", "violations": [{ "file": "/usr/bin/selenad", "expected": "aa", "actual": "bb", "kind": "changed" }] })
}

fn assert_safe_mode(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let body = answer.json();
    assert_eq!((&body["error"], &body["code"]), (&json!("SAFE_MODE"), &json!("safe_mode")));
    assert_eq!(body["detail"], "Core is in safe mode. Only read operations allowed.");
}

#[test]
fn a_violation_stops_everything_but_reading_until_the_core_starts_again() {
    let mut hub = Hub::start();
    let module = hub.install(&Package::probe("guest", 8100));
    let device = hub.device("actuator");
    assert_eq!(hub.anonymous().get("/health").json()["mode"], "normal");

    // Nobody but the agent, and not from a module's listener, can bring it about.
    hub.anonymous().post("/integrity/violation", &violation()).refused(403, "agent_secret");
    hub.client().post("/integrity/violation", &violation()).refused(403, "agent_secret");
    agent_sends(&hub, &module.core(), "/integrity/violation", &violation()).refused(403, "agent_secret");
    agent_reports(&hub, "/integrity/violation", &json!({ "status": "fine" })).refused(422, "validation_error");
    assert_eq!(hub.anonymous().get("/health").json()["mode"], "normal");
    assert!(!hub.audit("agent_secret").is_empty());

    let answer = agent_reports(&hub, "/integrity/violation", &violation()).expect(200);
    assert_eq!(answer.json(), json!({ "acknowledged": true }));
    let health = hub.anonymous().get("/health").expect(200).json();
    assert_eq!(health["mode"], "safe_mode");
    let status = hub.client().get("/integrity/status").expect(200).json();
    assert!(status["safe_mode_since"].is_string());
    assert_eq!((&status["status"], &status["changed_files"]), (&json!("violated"), &json!(["/usr/bin/selenad"])));

    // Reading goes on, all else waits.
    let _reads = hub.client().get(&format!("/devices/{device}")).expect(200);
    let state = json!({ "state": { "on": true } });
    assert_safe_mode(&hub.client().patch(&format!("/devices/{device}/state"), &state));
    assert_safe_mode(&hub.client().delete(&format!("/devices/{device}")));
    assert_safe_mode(&hub.client().post("/no/such/path", &json!({})));
    assert_safe_mode(&hub.client().post("/modules/guest/start", &json!({})));
    assert_safe_mode(&hub.admin().post("/modules/guest/restart", &json!({})));
    assert_safe_mode(&hub.try_install(&Package::probe("other", 8101)));
    assert_eq!(hub.client().get(&format!("/devices/{device}")).json()["state"], json!({}));

    // No module runs, and none is counted as crashed for it.
    wait::until("the module is stopped", 20, || hub.try_module("guest").is_none() && hub.status("guest") == "READY");
    let _told = agent_reports(&hub, "/integrity/violation", &violation()).expect(200);
    assert!(hub.events("module.crashed").is_empty());
    assert_eq!(hub.events("core.integrity_violation").len(), 2);
    assert_eq!(hub.events("core.safe_mode_entered").len(), 1, "it was entered once");
    assert_eq!(hub.events("core.integrity_violation")[0]["payload"]["files"], json!(["/usr/bin/selenad"]));

    // The agent restored the files and starts the core again.
    hub.kill();
    hub.start_again();
    let _restored = agent_reports(&hub, "/integrity/restored", &json!({ "files": ["/usr/bin/selenad"] })).expect(200);
    assert_eq!(hub.anonymous().get("/health").json()["mode"], "normal");
    let _again = hub.hears_again("guest", 30);
    assert_eq!(hub.events("core.integrity_restored").len(), 1);
}

#[test]
fn the_flag_holds_over_restarts_until_a_person_leaves_after_a_clean_check() {
    let mut hub = Hub::start();
    let _module = hub.install(&Package::probe("guest", 8100));
    hub.kill();
    fs::write(hub.data_dir().join("SAFE_MODE"), "").expect("written");
    for _restart in 0..2 {
        hub.start_again();
        assert_safe_mode(&hub.client().post("/modules/guest/start", &json!({})));
        assert_eq!(hub.client().get("/integrity/status").json()["status"], "safe_mode");
        hub.kill();
    }
    hub.start_again();
    wait::until("what still ran is removed", 30, || hub.try_module("guest").is_none());

    let exit = "/system/safe-mode/exit";
    hub.client().post(exit, &json!({})).refused(403, "permission_denied");
    agent_reports(&hub, exit, &json!({})).refused(401, "unauthenticated");
    hub.admin().post(exit, &json!({})).refused(409, "integrity_unknown");
    agent_found(&hub, "violated", &["/usr/bin/selenad"]);
    let refused = hub.admin().post(exit, &json!({}));
    refused.refused(409, "integrity_not_clean");
    agent_found(&hub, "ok", &[]);
    let _left = hub.admin().post(exit, &json!({})).expect(204);
    assert!(!hub.data_dir().join("SAFE_MODE").exists());
    assert_eq!(hub.client().get("/integrity/status").json()["status"], "ok");
    let _runs = hub.hears_again("guest", 30);
    assert_eq!(hub.events("core.safe_mode_exited").len(), 1);
    hub.admin().post(exit, &json!({})).refused(409, "not_in_safe_mode");
}

/// The agent stops the modules before it reports why.
#[test]
fn a_violation_is_no_failure_of_a_new_version() {
    let mut hub = Hub::start();
    let _old = hub.install(&Package::probe("guest", 8100));
    let _new = hub.try_install(&Package::probe("guest", 8100).version("2.0.0")).expect(201);
    let _stopped = Engine::default().stop(&hub.container("guest"));
    let _told = agent_reports(&hub, "/integrity/violation", &violation()).expect(200);
    wait::until("it waits for the end of SAFE MODE", 30, || {
        hub.details("guest")["error"].as_str().is_some_and(|error| error.contains("SAFE MODE"))
    });
    assert!(hub.events("module.crashed").is_empty());
    hub.kill();
    hub.start_again();
    let _runs = hub.hears_again("guest", 30);
    assert_eq!(hub.details("guest")["version"], "2.0.0");
    assert_eq!(hub.details("guest")["last_update"]["reason"], Value::Null);
}
