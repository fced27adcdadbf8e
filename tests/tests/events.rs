//! Publishing, subscribing, and reading history (protocol, sections 5, 6 and 11).

use selena_tests::{Hub, Package, Receiver};
use serde_json::{Value, json};

#[test]
fn both_forms_of_publishing_are_answered_as_their_clients_expect() {
    let hub = Hub::start();
    let new = json!({ "event_type": "test.new", "source": "somebody else", "payload": { "a": 1 } });
    let answer = hub.client().post("/events/publish", &new).expect(200).json();
    assert_eq!((&answer["published"], &answer["type"]), (&json!(true), &json!("test.new")));
    assert!(answer["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "ISO 8601: {answer}");
    let event = hub.events("test.new").pop().unwrap();
    let fields: Vec<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["id", "event_id", "seq", "type", "source", "timestamp", "payload"]);
    assert_eq!((&event["id"], &event["event_id"]), (&answer["event_id"], &answer["event_id"]));
    assert_eq!((&event["source"], &event["payload"]), (&json!("dev-module"), &json!({ "a": 1 })));
    assert_eq!(event["timestamp"], answer["timestamp"], "the core stamps its own time");

    let older = json!({ "type": "test.older", "source": "me", "payload": { "b": 2 } });
    let answer = hub.client().post("/events/publish", &older).expect(201).json();
    assert_eq!(
        answer.as_object().map(|fields| fields.keys().map(String::as_str).collect::<Vec<_>>()),
        Some(vec!["event_id", "type", "timestamp"])
    );
    assert_eq!(answer["type"], "test.older");
    assert!(answer["timestamp"].is_f64(), "Unix seconds: {answer}");
    let _without_payload = hub.client().post("/events/publish", &json!({ "event_type": "test.bare" })).expect(200);
    assert_eq!(hub.events("test.bare")[0]["payload"], json!({}));
}

#[test]
fn what_is_no_event_is_told() {
    let hub = Hub::start();
    for (body, field) in [
        (json!({}), "event_type"),
        (json!({ "event_type": "" }), "event_type"),
        (json!({ "event_type": "a b" }), "event_type"),
        (json!({ "event_type": "a.*" }), "event_type"),
        (json!({ "event_type": "x".repeat(129) }), "event_type"),
        (json!({ "event_type": 7 }), "event_type"),
        (json!({ "event_type": "test.x", "payload": [] }), "payload"),
    ] {
        let answer = hub.client().post("/events/publish", &body).expect(422).json();
        assert_eq!(answer["detail"][0]["loc"], json!(["body", field]), "{body}");
    }
}

#[test]
fn e03_reserved_types_are_not_a_modules_to_publish() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("talker", 8100));
    let publish = |event_type: &str| module.core().post("/events/publish", &json!({ "event_type": event_type }));
    for core in ["core.startup", "core.anything"] {
        let answer = publish(core).expect(403).json();
        assert_eq!(answer["detail"], "Publishing core.* events is forbidden for modules");
    }
    for reserved in [
        "device.registered",
        "device.removed",
        "device.state_changed",
        "device.offline",
        "device.online",
        "module.started",
        "module.anything",
        "sync.command_received",
    ] {
        publish(reserved).refused(403, "event_reserved");
    }
    for free in ["device.discovered", "test.x", "corex.y"] {
        let _published = publish(free).expect(200);
    }
    let answer = hub.client().post("/events/publish", &json!({ "event_type": "core.startup" })).expect(403).json();
    assert_eq!(answer["detail"], "Publishing core.* events is forbidden for modules");
    assert_eq!(hub.events("test.x")[0]["source"], "talker");
}

#[test]
fn e03_the_manifest_limits_both_ways() {
    let hub = Hub::start();
    let package = Package::probe("bound", 8100)
        .with("events", json!({ "subscribe": ["device.*", "test.in"], "publish": ["test.out"] }))
        .start(json!({}));
    let module = hub.install(&package);
    let _allowed = module.core().post("/events/publish", &json!({ "event_type": "test.out" })).expect(200);
    assert_eq!(module.core().post("/events/publish", &json!({ "event_type": "test.other" })).status, 403);
    let subscribe = |types: Value| {
        module
            .core()
            .post("/events/subscribe", &json!({ "event_types": types, "webhook_url": "http://localhost:8100/webhook" }))
    };
    let _allowed = subscribe(json!(["device.state_changed", "test.in"])).expect(201);
    for types in [json!(["*"]), json!(["test.*"]), json!(["device.*", "module.*"])] {
        assert_eq!(subscribe(types.clone()).status, 403, "{types}");
    }
}

#[test]
fn e03_internal_events_are_not_a_modules_to_hear() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("curious", 8100).start(json!({ "subscribe": ["*"] })));
    for pattern in ["core.*", "core.startup", "sync.*", "sync.command_received"] {
        let body = json!({ "event_types": [pattern], "webhook_url": "http://localhost:8100/webhook" });
        assert_eq!(module.core().post("/events/subscribe", &body).status, 403, "{pattern}");
    }
    hub.publish("sync.command_received");
    hub.publish("test.seen");
    let _seen = module.hears("test.seen");
    let internal = |event_type: &Value| {
        event_type.as_str().is_none_or(|name| name.starts_with("core.") || name.starts_with("sync."))
    };
    assert!(module.heard().iter().all(|heard| !internal(&heard.event()["type"])), "`*` leaves them out");
    let history = module.core().get("/events").expect(200).json();
    let history = history["events"].as_array().unwrap();
    assert!(!history.is_empty() && history.iter().all(|event| !internal(&event["type"])), "{history:?}");
    assert!(!hub.events("sync.command_received").is_empty(), "people see them");
}

#[test]
fn a_webhook_goes_to_the_modules_own_port_only() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("own", 8100).start(json!({})));
    let subscribe =
        |url: &str| module.core().post("/events/subscribe", &json!({ "event_types": ["test.*"], "webhook_url": url }));
    for bad in [
        "http://localhost:8101/x",
        "http://localhost:7070/x",
        "http://localhost/x",
        "https://localhost:8100/x",
        "http://192.0.2.1:8100/x",
        "http://localhost.evil.example:8100/x",
        "http://u@localhost:8100/x",
        "",
        "x",
    ] {
        let answer = subscribe(bad).expect(422).json();
        assert_eq!(answer["detail"][0]["loc"], json!(["body", "webhook_url"]), "{bad:?}");
    }
    for good in ["http://localhost:8100/webhook", "http://127.0.0.1:8100/webhook?x=1"] {
        let answer = subscribe(good).expect(201).json();
        assert_eq!((&answer["webhook_url"], &answer["event_types"]), (&json!(good), &json!(["test.*"])));
        assert!(answer["subscription_id"].is_string());
    }
    for types in [json!([]), json!("x"), json!(["a*"]), json!(["**"]), json!([""]), json!([7]), Value::Null] {
        let body = json!({ "event_types": types, "webhook_url": "http://localhost:8100/webhook" });
        assert_eq!(module.core().post("/events/subscribe", &body).status, 422, "{types}");
    }
}

#[test]
fn e06_a_subscription_is_replaced_deleted_and_limited() {
    let hub = Hub::unlimited();
    let receiver = Receiver::start();
    let subscribe = |path: &str, types: Value| {
        hub.client().post("/events/subscribe", &json!({ "event_types": types, "webhook_url": receiver.url(path) }))
    };
    let id = |answer: &Value| answer["subscription_id"].as_str().unwrap().to_owned();
    let first = id(&subscribe("/a", json!(["test.one"])).expect(201).json());
    let second = id(&subscribe("/a", json!(["test.two"])).expect(201).json());
    hub.publish("test.one");
    hub.publish("test.two");
    let heard = receiver.wait_for(1, 5);
    assert_eq!(heard[0].event_type(), "test.two", "the same module and URL replaces");
    let _deleted = hub.client().delete(&format!("/events/subscriptions/{second}")).expect(204);
    for id in [&second, &first, "no-uuid"] {
        hub.client().delete(&format!("/events/subscriptions/{id}")).refused(404, "not_found");
    }
    hub.publish("test.two");
    for n in 0..64 {
        let _one_of_64 = subscribe(&format!("/{n}"), json!(["test.last"])).expect(201);
    }
    subscribe("/64", json!(["test.last"])).refused(409, "limit_subscriptions");
    let _replacing_is_no_more = subscribe("/63", json!(["test.last"])).expect(201);
    hub.publish("test.last");
    let all = receiver.wait_for(65, 10);
    assert!(all[1..].iter().all(|webhook| webhook.event_type() == "test.last"), "the deleted one gets nothing");
}

#[test]
fn a_subscription_is_its_modules_own() {
    let hub = Hub::start();
    let one = hub.install(&Package::probe("one", 8100).start(json!({})));
    let two = hub.install(&Package::probe("two", 8101));
    let body = json!({ "event_types": ["test.*"], "webhook_url": "http://localhost:8100/webhook" });
    let id =
        one.core().post("/events/subscribe", &body).expect(201).json()["subscription_id"].as_str().unwrap().to_owned();
    two.core().delete(&format!("/events/subscriptions/{id}")).refused(404, "not_found");
    hub.publish("test.x");
    let _still_subscribed = one.hears("test.x");
    let _own = one.core().delete(&format!("/events/subscriptions/{id}")).expect(204);
}

#[test]
fn history_is_read_in_pages() {
    let hub = Hub::unlimited();
    for n in 0..25 {
        let body = json!({ "event_type": if n % 5 == 0 { "test.five" } else { "other.x" }, "payload": { "n": n } });
        let _published = hub.client().post("/events/publish", &body).expect(200);
    }
    let page = |query: &str| hub.client().get(&format!("/events?{query}")).expect(200).json();
    let (mut since, mut seen) = (0, Vec::new());
    loop {
        let answer = page(&format!("since_seq={since}&limit=7"));
        let events = answer["events"].as_array().unwrap().clone();
        assert!(events.len() <= 7);
        assert!(events.iter().all(|event| event["seq"].as_i64() > Some(since)), "seq > since_seq");
        if events.is_empty() {
            break;
        }
        since = answer["next_since_seq"].as_i64().unwrap();
        seen.extend(events);
    }
    assert!(seen.windows(2).all(|pair| pair[0]["seq"].as_i64() < pair[1]["seq"].as_i64()), "in order");
    assert_eq!(seen.iter().filter(|event| event["source"] == "dev-module").count(), 25, "each one once");
    let fives = page("type=test.*");
    let numbers: Vec<_> =
        fives["events"].as_array().unwrap().iter().map(|event| event["payload"]["n"].clone()).collect();
    assert_eq!(json!(numbers), json!([0, 5, 10, 15, 20]));
    for bad in ["limit=0", "limit=1001", "limit=x", "since_seq=x", "type=a*"] {
        assert_eq!(hub.client().get(&format!("/events?{bad}")).status, 422, "{bad}");
    }
}

#[test]
fn the_stream_tells_events_as_they_happen() {
    let hub = Hub::start();
    hub.publish("test.before");
    let mut live = hub.client().follow("/events/stream?type=test.*");
    hub.publish("other.x");
    hub.publish("test.after");
    let event = live.next().unwrap();
    assert_eq!(event["type"], "test.after", "from now on, and of that type");
    let mut replayed = hub.admin().follow("/events/stream?since_seq=0&type=test.*");
    let types: Vec<_> = replayed.by_ref().take(2).map(|event| event["type"].clone()).collect();
    assert_eq!(json!(types), json!(["test.before", "test.after"]));
    hub.publish("test.last");
    assert_eq!(replayed.next().unwrap()["type"], "test.last", "history goes over into what happens");
    assert_eq!(live.next().unwrap()["seq"].as_i64(), event["seq"].as_i64().map(|seq| seq + 1));
}

#[test]
fn e08_the_core_stamps_its_own_time() {
    let hub = Hub::start();
    for claimed in ["1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "yesterday"] {
        let body = json!({ "event_type": "test.time", "payload": {}, "timestamp": claimed, "id": "x", "seq": 7 });
        let answer = hub.client().post("/events/publish", &body).expect(200).json();
        let year = &answer["timestamp"].as_str().expect("a time")[..4];
        assert!(!["1970", "2099"].contains(&year), "{answer}");
    }
}
