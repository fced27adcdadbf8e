//! Devices over the API on the host (protocol, section 5).

use selena_tests::{Hub, Package};
use serde_json::{Value, json};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn a_device_is_made_read_changed_and_deleted() {
    let hub = Hub::start();
    let client = hub.client();
    let body = json!({
        "name": "lamp", "type": "actuator", "protocol": "zigbee", "capabilities": ["on"], "meta": { "room": "hall" },
        "unknown": "is ignored",
    });
    let device = client.post("/devices", &body).expect(201).json();
    let fields: Vec<_> = device.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        ["device_id", "name", "type", "protocol", "state", "capabilities", "last_seen", "module_id", "meta"]
    );
    let id = device["device_id"].as_str().unwrap();
    assert_eq!(id.len(), 36, "a UUID");
    assert_eq!((&device["state"], &device["last_seen"]), (&json!({}), &Value::Null));
    assert_eq!((&device["capabilities"], &device["meta"]), (&body["capabilities"], &body["meta"]));
    assert_eq!(device["module_id"], "dev-module");
    assert_eq!(client.get(&format!("/devices/{id}")).expect(200).json(), device);
    assert_eq!(client.get("/devices").expect(200).json(), json!({ "devices": [device] }));

    let changed = client.patch(&format!("/devices/{id}/state"), &json!({ "state": { "on": true } })).expect(200).json();
    assert_eq!(changed["state"], json!({ "on": true }));
    assert!(changed["last_seen"].is_f64(), "Unix seconds");
    let replaced =
        client.patch(&format!("/devices/{id}/state"), &json!({ "state": { "level": 3 } })).expect(200).json();
    assert_eq!(replaced["state"], json!({ "level": 3 }), "a state is replaced, not merged");
    assert_eq!(client.get(&format!("/devices/{id}")).expect(200).json(), replaced);

    let _gone = client.delete(&format!("/devices/{id}")).expect(204);
    client.delete(&format!("/devices/{id}")).refused(404, "not_found");
    client.get(&format!("/devices/{id}")).refused(404, "not_found");
    let event = |name: &str| hub.events(name).pop().unwrap()["payload"].clone();
    assert_eq!(event("device.registered"), json!({ "device_id": id, "name": "lamp" }));
    assert_eq!(event("device.removed"), json!({ "device_id": id, "name": "lamp" }));
    let change = json!({ "device_id": id, "old_state": { "on": true }, "new_state": { "level": 3 }, "changed_by": "dev-module" });
    assert_eq!(event("device.state_changed"), change);
}

#[test]
fn what_is_no_device_is_not_found() {
    let hub = Hub::start();
    for id in [NOBODY, "no-uuid", "1", "%00", "x%2fy"] {
        assert_eq!(hub.client().get(&format!("/devices/{id}")).status, 404, "{id}");
        assert_eq!(hub.client().get(&format!("/devices/{id}/history")).status, 404, "{id}");
        assert_eq!(hub.client().delete(&format!("/devices/{id}")).status, 404, "{id}");
        assert_eq!(hub.client().patch(&format!("/devices/{id}/state"), &json!({ "state": {} })).status, 404, "{id}");
    }
}

#[test]
fn every_wrong_field_is_told() {
    let hub = Hub::start();
    let problems = |body: &Value| {
        let answer = hub.client().post("/devices", body).expect(422).json();
        let list = answer["detail"].as_array().unwrap().clone();
        assert!(list.iter().all(|problem| problem["msg"].is_string() && problem["type"].is_string()), "{list:?}");
        list.into_iter().map(|problem| problem["loc"].clone()).collect::<Vec<_>>()
    };
    let at = |field: &str| json!(["body", field]);
    assert_eq!(problems(&json!({})), [at("name"), at("type"), at("protocol")]);
    let good = || json!({ "name": "n", "type": "sensor", "protocol": "p" });
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("x".repeat(256))),
        ("name", json!(7)),
        ("type", json!("toaster")),
        ("protocol", json!("")),
        ("protocol", json!("x".repeat(51))),
        ("capabilities", json!("on")),
        ("meta", json!([])),
    ] {
        let mut body = good();
        body[field] = value;
        assert_eq!(problems(&body), [at(field)], "{body}");
    }
    let mut longest = good();
    longest["name"] = json!("ä".repeat(255));
    longest["protocol"] = json!("x".repeat(50));
    let _characters_count = hub.client().post("/devices", &longest).expect(201);
    for body in [json!([]), json!("text"), json!(null)] {
        assert_eq!(problems(&body), [json!(["body"])], "{body}");
    }
    let id = hub.device("virtual");
    for body in [json!({}), json!({ "state": [] }), json!({ "state": "on" })] {
        let answer = hub.client().patch(&format!("/devices/{id}/state"), &body).expect(422).json();
        assert_eq!(answer["detail"][0]["loc"], at("state"), "{body}");
    }
}

#[test]
fn a_state_is_at_most_64_kib() {
    let hub = Hub::start();
    let path = format!("/devices/{}/state", hub.device("virtual"));
    let state = |bytes: usize| json!({ "state": { "x": "y".repeat(bytes) } });
    let _fits = hub.client().patch(&path, &state(64 * 1024 - 100)).expect(200);
    let answer = hub.client().patch(&path, &state(64 * 1024)).expect(422).json();
    assert_eq!(answer["detail"][0]["loc"], json!(["body", "state"]));
    let now = hub.client().get(path.trim_end_matches("/state")).expect(200).json();
    assert_eq!(now["state"]["x"].as_str().map(str::len), Some(64 * 1024 - 100), "the state before stays");
}

#[test]
fn history_is_newest_first_and_bounded() {
    let hub = Hub::unlimited();
    let id = hub.device("virtual");
    for n in 0..1_010 {
        let _done = hub.client().patch(&format!("/devices/{id}/state"), &json!({ "state": { "n": n } })).expect(200);
    }
    let read = |query: &str| {
        let answer = hub.client().get(&format!("/devices/{id}/history{query}")).expect(200).json();
        answer["history"].as_array().unwrap().clone()
    };
    let numbers =
        |entries: &[Value]| entries.iter().map(|entry| entry["state"]["n"].as_i64().unwrap()).collect::<Vec<_>>();
    let all = read("");
    assert_eq!(numbers(&all), (10..1_010).rev().collect::<Vec<_>>(), "the last 1,000, newest first");
    assert!(all.windows(2).all(|pair| pair[0]["timestamp"].as_f64() >= pair[1]["timestamp"].as_f64()));
    assert_eq!(numbers(&read("?limit=3")), [1_009, 1_008, 1_007]);
    let since = all[4]["timestamp"].as_f64().unwrap();
    let later = read(&format!("?since={since}"));
    assert!((4..=5).contains(&later.len()), "since the fifth: {later:?}");
    for bad in ["?limit=0", "?limit=1001", "?limit=x", "?since=x"] {
        assert_eq!(hub.client().get(&format!("/devices/{id}/history{bad}")).status, 422, "{bad}");
    }
}

#[test]
fn history_of_one_device_is_at_most_4_mib() {
    let hub = Hub::unlimited();
    let id = hub.device("virtual");
    for n in 0..90 {
        let state = json!({ "state": { "n": n, "x": "y".repeat(60_000) } });
        let _done = hub.client().patch(&format!("/devices/{id}/state"), &state).expect(200);
    }
    let history =
        hub.client().get(&format!("/devices/{id}/history")).expect(200).json()["history"].as_array().unwrap().len();
    assert!((60..=70).contains(&history), "{history} states of 60 kB");
}

#[test]
fn only_its_module_sets_a_sensor() {
    let hub = Hub::start();
    let one = hub.install(&Package::probe("one", 8100));
    let two = hub.install(&Package::probe("two", 8101));
    let make = |kind: &str| {
        let body = json!({ "name": "n", "type": kind, "protocol": "p" });
        let device = one.core().post("/devices", &body).expect(201).json();
        assert_eq!(device["module_id"], "one");
        format!("/devices/{}/state", device["device_id"].as_str().unwrap())
    };
    let sensor = make("sensor");
    let state = json!({ "state": { "t": 20 } });
    two.core().patch(&sensor, &state).refused(403, "not_your_device");
    for client in [one.core(), hub.client(), hub.admin()] {
        let _its_own_the_hubs_and_a_persons = client.patch(&sensor, &state).expect(200);
    }
    for kind in ["actuator", "controller", "virtual"] {
        let _anybodys = two.core().patch(&make(kind), &state).expect(200);
    }
    let heard = one.hears("device.state_changed").event();
    assert_eq!((&heard["source"], &heard["payload"]["new_state"]), (&json!("core"), &json!({ "t": 20 })));
}

#[test]
fn devices_outlive_a_killed_hub_the_last_answer_included() {
    let mut hub = Hub::start();
    let id = hub.device("virtual");
    let _answered =
        hub.client().patch(&format!("/devices/{id}/state"), &json!({ "state": { "kept": true } })).expect(200);
    hub.kill();
    hub.start_again();
    let device = hub.client().get(&format!("/devices/{id}")).expect(200).json();
    assert_eq!(device["state"], json!({ "kept": true }));
    let history = hub.client().get(&format!("/devices/{id}/history")).expect(200).json();
    assert_eq!(history["history"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_module_has_at_most_500_devices() {
    let hub = Hub::unlimited();
    let new = json!({ "name": "n", "type": "virtual", "protocol": "p" });
    for _ in 0..500 {
        let _made = hub.client().post("/devices", &new).expect(201);
    }
    hub.client().post("/devices", &new).refused(409, "limit_devices");
}
