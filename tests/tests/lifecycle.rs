//! Start, stop, restart, update and remove (protocol, section 2).

use std::fs;

use selena_tests::{Engine, Hub, Package};
use serde_json::{Value, json};

#[test]
fn start_stop_and_restart_answer_what_became_of_it() {
    let hub = Hub::start();
    let first = hub.install(&Package::probe("mover", 8100));
    let order = |action: &str| hub.client().post(&format!("/modules/mover/{action}"), &json!({})).expect(200).json();
    assert_eq!(order("stop"), json!({ "name": "mover", "status": "STOPPED" }));
    assert!(hub.try_module("mover").is_none(), "it does not run");
    assert_eq!(hub.status("mover"), "STOPPED");
    assert_eq!(order("start"), json!({ "name": "mover", "status": "RUNNING" }));
    let second = hub.hears_again("mover", 10);
    assert_ne!(first.container, second.container);
    assert_eq!(order("start")["status"], "RUNNING", "a second start changes nothing");
    assert_eq!(hub.module("mover").container, second.container);
    assert_eq!(order("restart"), json!({ "name": "mover", "status": "RUNNING" }));
    assert_ne!(hub.hears_again("mover", 10).container, second.container);
    assert_eq!(hub.events("module.discovered").len(), 1);
    for event in ["module.discovered", "module.installed", "module.started", "module.stopped"] {
        let payload = hub.events(event).pop().unwrap_or_default()["payload"].clone();
        assert_eq!((&payload["name"], &payload["version"]), (&json!("mover"), &json!("1.0.0")), "{event}");
    }
    let _logs = hub.client().get("/modules/mover/logs").expect(200);
}

#[test]
fn what_is_not_installed_is_not_found() {
    let hub = Hub::start();
    for action in ["start", "stop", "restart"] {
        hub.client().post(&format!("/modules/nobody/{action}"), &json!({})).refused(404, "not_found");
    }
    for path in ["/modules/nobody", "/modules/..", "/modules/NOBODY", "/modules/nobody/logs"] {
        assert_eq!(hub.client().get(path).status, 404, "{path}");
    }
    hub.client().delete("/modules/nobody").refused(404, "not_found");
}

#[test]
fn a_stopped_module_stays_stopped_when_the_hub_starts_again() {
    let mut hub = Hub::start();
    let _first = hub.install(&Package::probe("idle", 8100));
    let _second = hub.install(&Package::probe("busy", 8101));
    let _stopped = hub.client().post("/modules/idle/stop", &json!({})).expect(200);
    assert_eq!(hub.terminate(), Some(0), "the hub ends well");
    hub.start_again();
    let _busy = hub.hears_again("busy", 20);
    assert_eq!(hub.status("idle"), "STOPPED");
    assert!(hub.try_module("idle").is_none());
    let told = ["core.startup", "core.startup_completed", "core.shutdown"].map(|what| hub.events(what).len());
    assert_eq!(told, [2, 2, 1], "the hub tells of itself");
}

#[test]
fn an_on_demand_module_is_ready_and_does_not_run() {
    let hub = Hub::start();
    let package = Package::probe("seldom", 8100).with("runtime_mode", json!("on_demand"));
    let answer = hub.try_install(&package).expect(201).json();
    let (trial, publisher) = (&answer["report"], &answer["publisher"]);
    let expected =
        json!({ "name": "seldom", "status": "READY", "port": 8100, "report": trial, "publisher": publisher });
    assert_eq!(answer, expected);
    assert_eq!(publisher["signed"], false, "{publisher}");
    assert!(hub.try_module("seldom").is_none());
}

#[test]
fn an_update_runs_the_new_version_with_the_old_data() {
    let hub = Hub::start();
    let old = hub.install(&Package::probe("mover", 8100));
    old.act(&json!({ "act": "write", "path": "/data/notes", "text": "of the old version" }));
    let secret = old.webhook_secret();
    let answer = hub.try_install(&Package::probe("mover", 8100).version("1.1.0").file("new", b"", 0o644)).expect(201);
    let answer = answer.json();
    let (trial, publisher) = (&answer["report"], &answer["publisher"]);
    let expected =
        json!({ "name": "mover", "status": "RUNNING", "port": 8100, "report": trial, "publisher": publisher });
    assert_eq!(answer, expected);
    let new = hub.hears_again("mover", 10);
    assert_ne!(new.container, old.container);
    assert_eq!(new.webhook_secret(), secret, "the secret lasts until removal");
    assert_eq!(new.act(&json!({ "act": "read", "path": "/data/notes" }))["done"], "of the old version");
    assert_eq!(new.act(&json!({ "act": "read", "path": "/app/new" }))["done"], "");
    assert_eq!(hub.details("mover")["version"], "1.1.0");
    assert!(!hub.events("module.updated").is_empty());
    assert_eq!(hub.events("module.discovered").len(), 1, "an update is no discovery");
    assert_eq!(image_versions(&hub, "mover"), ["1.0.0", "1.1.0"], "that of the version before stays");
}

#[test]
fn an_update_that_fails_its_trial_does_not_touch_the_old_version() {
    let hub = Hub::start();
    let old = hub.install(&Package::probe("mover", 8100));
    let broken = Package::probe("mover", 8100).version("1.1.0").start(json!({ "do": "exit", "code": 3 }));
    hub.try_install(&broken).refused(400, "sandbox_failed");
    assert_eq!(hub.hears_again("mover", 10).container, old.container, "it ran on");
    assert_eq!(hub.details("mover")["version"], "1.0.0");
    assert_eq!(Engine::default().images(hub.prefix()).len(), 1, "nothing of the new version is left");
}

#[test]
fn an_update_that_fails_after_its_trial_is_undone_data_and_all() {
    let hub = Hub::start();
    let old = hub.install(&Package::probe("mover", 8100));
    old.act(&json!({ "act": "write", "path": "/data/notes", "text": "of the old version" }));
    // It passes the trial, whose data volume is empty, and spoils the old data before it ends.
    let broken = Package::probe("mover", 8100).version("1.1.0").start(json!({ "do": "exit_with_data" }));
    hub.try_install(&broken).refused(400, "health_timeout");
    let back = hub.hears_again("mover", 10);
    assert_eq!(back.act(&json!({ "act": "read", "path": "/data/notes" }))["done"], "of the old version");
    let details = hub.details("mover");
    assert_eq!((&details["version"], &details["status"]), (&json!("1.0.0"), &json!("RUNNING")));
    let _a_good_update_still_works = hub.try_install(&Package::probe("mover", 8100).version("1.2.0")).expect(201);
}

#[test]
fn a_removal_leaves_nothing_but_the_devices() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("leaver", 8100));
    let new = json!({ "name": "stays", "type": "sensor", "protocol": "test" });
    let device = module.core().post("/devices", &new).expect(201).json();
    assert_eq!(device["module_id"], "leaver");
    module.act(&json!({ "act": "write", "path": "/data/notes", "text": "old" }));
    let engine = Engine::default();
    let label = engine.inspect(&module.container)["Config"]["Labels"]["selena.hub"].as_str().unwrap().to_owned();
    let label = format!("selena.hub={label}");
    assert!(!engine.labelled(&label).is_empty());

    let _gone = hub.client().delete("/modules/leaver").expect(204);
    hub.client().delete("/modules/leaver").refused(404, "not_found");
    hub.client().get("/modules/leaver").refused(404, "not_found");
    assert_eq!(engine.labelled(&label), [Value::Null; 0], "containers");
    assert_eq!(engine.volumes(&label), [Value::Null; 0], "volumes");
    assert_eq!(engine.images(hub.prefix()), [Value::Null; 0], "images");
    for dir in ["modules", "volumes", "previous", "staging"] {
        let left: Vec<_> = fs::read_dir(hub.data_dir().join(dir)).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{dir}: {left:?}");
    }
    assert_eq!(loop_devices_below(&hub), [""; 0], "loop devices");
    let path = format!("/devices/{}", device["device_id"].as_str().unwrap());
    assert_eq!(hub.client().get(&path).expect(200).json()["module_id"], Value::Null);
    assert_eq!(hub.events("module.removed").len(), 1);

    let new = hub.install(&Package::probe("leaver", 8100));
    assert_eq!(new.act(&json!({ "act": "read", "path": "/data/notes" }))["error"], "ENOENT", "it starts from nothing");
}

#[test]
fn updates_leave_the_images_of_this_version_and_of_the_one_before() {
    let hub = Hub::start();
    let _first = hub.install(&Package::probe("mover", 8100));
    assert_eq!(image_versions(&hub, "mover"), ["1.0.0"]);
    for minor in 1..=5 {
        let _updated = hub.try_install(&Package::probe("mover", 8100).version(&format!("1.{minor}.0"))).expect(201);
        assert_eq!(image_versions(&hub, "mover"), [format!("1.{}.0", minor - 1), format!("1.{minor}.0")]);
    }
    let broken = Package::probe("mover", 8100).version("1.6.0").start(json!({ "do": "exit", "code": 3 }));
    hub.try_install(&broken).refused(400, "sandbox_failed");
    assert_eq!(image_versions(&hub, "mover"), ["1.4.0", "1.5.0"], "an update that failed leaves no image");
    let _back = hub.client().post("/modules/mover/rollback", &json!({})).expect(200);
    assert_eq!(image_versions(&hub, "mover"), ["1.4.0", "1.5.0"], "the way forth is there too");
}

/// The versions of a module whose images the engine has, in order.
fn image_versions(hub: &Hub, module: &str) -> Vec<String> {
    let prefix = format!("{}selena-module-{module}:", hub.prefix());
    let tags = Engine::default().tags(hub.prefix());
    tags.iter().filter_map(|tag| Some(tag.strip_prefix(&prefix)?.to_owned())).collect()
}

/// The files of loop devices below the hub's directory.
fn loop_devices_below(hub: &Hub) -> Vec<String> {
    let all = fs::read_dir("/sys/block").expect("the kernel tells its devices").flatten();
    let files = all.filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    let dir = hub.data_dir().display().to_string();
    files.filter(|file| file.starts_with(&dir)).collect()
}
