//! Programs written for earlier cores work unchanged (protocol, section 11).

use selena_tests::{Hub, Package, wait};
use serde_json::{Value, json};

fn intents(module: &str, port: u16) -> Value {
    let intent =
        json!({ "patterns": { "en": ["turn on"], "ru": ["включи"] }, "description": "light", "endpoint": "/on" });
    json!({ "module": module, "port": port, "intents": [intent] })
}

#[test]
fn intents_are_registered_listed_and_deleted() {
    let hub = Hub::start();
    // No permission is needed.
    let module = hub.install(&Package::probe("voice", 8100).with("permissions", json!([])).start(json!({})));
    let answer = module.core().post("/intents/register", &intents("voice", 8100)).expect(201).json();
    let fields: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["registered", "module", "intent_count"]);
    assert_eq!((&answer["module"], &answer["intent_count"]), (&json!("voice"), &json!(1)));
    for (wrong_module, wrong_port) in [("other", 8100), ("voice", 8101)] {
        let answer = module.core().post("/intents/register", &intents(wrong_module, wrong_port));
        assert!([403, 422].contains(&answer.status), "{}", answer.text());
    }
    let _the_development_token_may_for_any =
        hub.client().post("/intents/register", &intents("plain", 9000)).expect(201);
    let list = hub.client().get("/intents").expect(200).json();
    assert!(list["total"].is_u64(), "{list}");
    let of = |name: &str| list["modules"].as_array().unwrap().iter().find(|entry| entry["module"] == name).cloned();
    let voice = of("voice").unwrap();
    assert_eq!((&voice["port"], &voice["intents"]), (&json!(8100), &intents("voice", 8100)["intents"]));
    assert!(of("plain").is_some());
    let _deleted = module.core().delete("/intents/voice").expect(204);
    module.core().delete("/intents/voice").refused(404, "not_found");
    let _again = module.core().post("/intents/register", &intents("voice", 8100)).expect(201);
    let _removed = hub.client().delete("/modules/voice").expect(204);
    let list = hub.client().get("/intents").expect(200).json();
    assert!(!list["modules"].to_string().contains("voice"), "they go with the module: {list}");
}

#[test]
fn a_registration_is_checked() {
    let hub = Hub::start();
    for bad in [json!({}), json!({ "module": "x", "port": 8100, "intents": "none" }), json!([])] {
        assert_eq!(hub.client().post("/intents/register", &bad).status, 422, "{bad}");
    }
    assert_eq!(hub.anonymous().post("/intents/register", &intents("x", 8100)).status, 401);
}

#[test]
fn health_is_answered_at_the_root_too_and_unknown_fields_of_a_manifest_are_no_error() {
    let hub = Hub::start();
    let package = Package::probe("older", 8100).with("icon_color", json!("red")).with("sdk", json!({ "version": 3 }));
    let module = hub.install(&package);
    assert_eq!(module.variable("MODULE_TOKEN"), module.token());
    let answer =
        module.door(7070).send_raw(b"GET /health HTTP/1.1\r\nHost: localhost:7070\r\nConnection: close\r\n\r\n");
    assert!(answer.unwrap().starts_with("HTTP/1.1 200"));
    let body = json!({ "event_types": ["test.*"], "webhook_url": "http://localhost:8100/webhook", "module": "older" });
    let _created = module.core().post("/events/subscribe", &body).expect(201);
    let _created = module
        .core()
        .post("/events/publish", &json!({ "type": "test.x", "source": "older", "payload": {} }))
        .expect(201);
}

#[test]
fn a_python_module_of_the_older_kind_runs_unchanged() {
    let hub = Hub::start();
    let program = include_bytes!("../modules/older/main.py");
    let package = Package::plain("older", 8100)
        .with("author", json!("somebody"))
        .with("icon", json!("icon.svg"))
        .with("config", json!({ "unknown": true }))
        .file("main.py", program, 0o644);
    assert_eq!(hub.try_install(&package).expect(201).json()["status"], "RUNNING");
    let module = hub.module("older");
    let seen = wait::for_some("the module's events", 20, || {
        let seen = module.probe().get("/seen").expect(200).json();
        (seen["events"].as_array()?.len() >= 2).then_some(seen)
    });
    let statuses = json!({ "subscribe": 201, "register": 201, "state": 200, "publish": 201, "intents": 201 });
    assert_eq!(seen["statuses"], statuses);
    let published = &seen["answers"]["publish"];
    assert!(published["timestamp"].is_f64() && published["event_id"].is_string(), "{published}");
    assert_eq!(published["type"], "old.hello");
    assert_eq!(hub.events("old.hello")[0]["source"], "older", "the source is the caller, whatever the body says");
    let types: Vec<_> = seen["events"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(types, ["device.registered", "device.state_changed"]);
    assert_eq!(seen["events"][1]["payload"]["new_state"], json!({ "on": true }));
}
