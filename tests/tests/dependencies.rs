//! Modules that need other modules: installs are explained, starts are in order, stops in reverse (protocol, section 3).

use selena_tests::{Answer, Hub, Package, wait};
use serde_json::{Value, json};

fn needing(name: &str, port: u16, needs: &Value) -> Package {
    Package::probe(name, port).with("dependencies", needs.clone())
}

fn problems(answer: &Answer) -> Vec<String> {
    answer.refused(422, "manifest_dependency");
    let body = answer.json();
    let list = body["detail"].as_array().expect("a list of problems");
    list.iter().map(|problem| problem["msg"].as_str().expect("a text").to_owned()).collect()
}

/// The order in which modules were told of by events.
fn order(hub: &Hub, event_type: &str, since: usize) -> Vec<String> {
    let names = hub.events(event_type);
    names[since..].iter().map(|event| event["payload"]["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn every_problem_of_an_install_is_explained() {
    let hub = Hub::start();
    let _clock = hub.install(&Package::probe("clock", 8100).version("1.4.0"));
    let told = problems(&hub.try_install(&needing("alarm", 8101, &json!({ "clock": "^2.0.0", "radio": ">=1.0.0" }))));
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "it needs module `clock` ^2.0.0; 1.4.0 is installed: update that first");
    assert_eq!(told[1], "it needs module `radio` >=1.0.0, which is not installed: install that first");

    let _alarm = hub.install(&needing("alarm", 8101, &json!({ "clock": "~1.4.0" })));
    let told = problems(&hub.try_install(&Package::probe("clock", 8100).version("1.5.0")));
    assert_eq!(told, ["module `alarm` needs `clock` ~1.4.0, and this is 1.5.0: update `alarm` first, or remove it"]);
    let circle = needing("clock", 8100, &json!({ "alarm": ">=1.0.0" })).version("1.4.1");
    assert_eq!(problems(&hub.try_install(&circle)), ["modules need each other in a circle: clock → alarm → clock"]);
    assert_eq!(hub.details("clock")["version"], "1.4.0");
    let _fits = hub.try_install(&Package::probe("clock", 8100).version("1.4.9")).expect(201);
}

#[test]
fn starts_are_in_order_and_stops_in_reverse() {
    let mut hub = Hub::start();
    let _db = hub.install(&Package::probe("db", 8100));
    let _log = hub.install(&needing("log", 8101, &json!({ "db": ">=1.0.0" })));
    // Installed first by name, started last.
    let _app = hub.install(&needing("app", 8102, &json!({ "log": ">=1.0.0" })));

    // A restart of the hub: each is started when what it needs is healthy.
    let before = hub.events("module.started").len();
    hub.kill();
    hub.start_again();
    wait::until("all run", 60, || ["app", "log", "db"].iter().all(|name| hub.status(name) == "RUNNING"));
    assert_eq!(order(&hub, "module.started", before), ["db", "log", "app"]);

    // Stopping the one that all need stops them first; they say why, and come back with it.
    let stopped = hub.events("module.stopped").len();
    let _ok = hub.client().post("/modules/db/stop", &json!({})).expect(200);
    assert_eq!(order(&hub, "module.stopped", stopped), ["app", "log", "db"]);
    assert_eq!(
        (hub.status("app"), hub.status("log"), hub.status("db")),
        ("READY".into(), "READY".into(), "STOPPED".into())
    );
    assert_eq!(hub.details("log")["error"], "it needs module `db`, which was stopped");
    hub.client().post("/modules/app/start", &json!({})).refused(409, "dependency_not_ready");
    assert_eq!(
        hub.details("app")["error"],
        "it needs module `log` >=1.0.0, which is READY (it needs module `db` >=1.0.0, which is STOPPED)"
    );
    let started = hub.events("module.started").len();
    let _ok = hub.client().post("/modules/db/start", &json!({})).expect(200);
    wait::until("all run again", 60, || ["app", "log"].iter().all(|name| hub.status(name) == "RUNNING"));
    assert_eq!(order(&hub, "module.started", started), ["db", "log", "app"]);

    // A crash of the one does not stop the others.
    let crashed = hub.container("db");
    let _killed = selena_tests::Engine::default().remove(&crashed);
    wait::until("it is back", 60, || hub.try_module("db").is_some_and(|module| module.container != crashed));
    assert_eq!(hub.status("app"), "RUNNING");
    assert_eq!(order(&hub, "module.stopped", stopped + 3), [""; 0]);

    // Without it, those that need it wait, and say what for; with it, they start.
    let _gone = hub.client().delete("/modules/db").expect(204);
    assert_eq!(hub.status("log"), "READY");
    hub.client().post("/modules/log/start", &json!({})).refused(409, "dependency_not_ready");
    assert_eq!(hub.details("log")["error"], "it needs module `db` >=1.0.0, which is not installed: install that");
    let _db = hub.install(&Package::probe("db", 8100));
    wait::until("all run once more", 60, || ["app", "log"].iter().all(|name| hub.status(name) == "RUNNING"));
}
