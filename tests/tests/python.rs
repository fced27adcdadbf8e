//! The runtime `python3` (protocol, section 4).

use selena_tests::{Hub, Package};
use serde_json::json;

/// A module with nothing but the Python base.
const MAIN: &[u8] = include_bytes!("../modules/python/main.py");

#[test]
fn a_python_module_runs_with_nothing_but_the_base() {
    let mut hub = Hub::start();
    let package = Package::plain("snake", 8100).file("main.py", MAIN, 0o644);
    let module = hub.install(&package.with("resources", json!({ "memory_mb": 64 })));
    let seen = module.probe().get("/").expect(200).json();
    assert_eq!((&seen["directory"], &seen["seccomp"]), (&json!("/app"), &json!("2")));
    assert_ne!(seen["user"], 0);
    let device = hub.client().get(&format!("/devices/{}", seen["device"].as_str().unwrap())).expect(200).json();
    assert_eq!(device["module_id"], "snake");
    hub.kill();
    hub.start_again();
    selena_tests::wait::until("it runs again and has registered anew", 30, || {
        hub.client().get("/devices").json()["devices"].as_array().is_some_and(|all| all.len() == 2)
    });
}

#[test]
fn a_python_module_that_breaks_shows_its_trace() {
    let hub = Hub::start();
    let answer =
        hub.try_install(&Package::plain("snake", 8100).file("main.py", b"raise ValueError('no sense')", 0o644));
    answer.refused(400, "sandbox_failed");
    assert!(answer.json()["sandbox_output"].as_str().unwrap().contains("ValueError: no sense"), "{}", answer.text());
}
