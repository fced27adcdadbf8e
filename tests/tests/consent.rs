//! What only a person grants (protocol, section 2, "Consent").

use selena_tests::{Hub, Package};
use serde_json::{Value, json};

fn asking() -> Package {
    let rule = json!([{ "host": "api.example.com", "port": 443, "protocol": "tcp" }]);
    let permissions = json!(["device.read", "events.subscribe", "network.egress"]);
    Package::probe("asking", 8100).with("permissions", permissions).with("network", json!({ "egress": rule }))
}

fn asked(hub: &Hub) -> Value {
    let answer = hub.try_install(&asking()).expect(202).json();
    assert_eq!(
        (&answer["name"], &answer["status"], &answer["version"]),
        (&json!("asking"), &json!("AWAITING_CONSENT"), &json!("1.0.0"))
    );
    let adds = &answer["adds"];
    let fields: Vec<_> = adds.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(fields, ["permissions", "egress", "devices", "oauth_hosts"]);
    assert_eq!(adds["permissions"], json!(["network.egress"]));
    assert_eq!(adds["egress"][0]["host"], "api.example.com");
    assert!(hub.try_module("asking").is_none(), "it does not run");
    assert_eq!(hub.status("asking"), "AWAITING_CONSENT");
    json!({ "version": answer["version"], "adds": answer["adds"] })
}

#[test]
fn it_runs_only_when_exactly_what_was_shown_is_granted() {
    let hub = Hub::start();
    let shown = asked(&hub);
    let mut less = shown.clone();
    less["adds"]["egress"] = json!([]);
    assert_eq!(hub.admin().post("/modules/asking/consent", &less).status, 409);
    let mut other = shown.clone();
    other["version"] = json!("1.0.1");
    assert_eq!(hub.admin().post("/modules/asking/consent", &other).status, 409);
    assert!(hub.try_module("asking").is_none());
    let granted = hub.admin().post("/modules/asking/consent", &shown).expect(200).json();
    assert_eq!(granted["status"], "RUNNING");
    let _heard = hub.hears_again("asking", 10);
    assert_eq!(hub.admin().post("/modules/asking/consent", &shown).status, 409, "it waits for nothing now");
}

#[test]
fn starting_is_no_way_around_it() {
    let hub = Hub::start();
    let _shown = asked(&hub);
    for action in ["start", "restart"] {
        let answer = hub.client().post(&format!("/modules/asking/{action}"), &json!({}));
        assert!(answer.status >= 400, "{action}: {}", answer.text());
        assert!(hub.try_module("asking").is_none(), "{action} started it");
    }
    assert_eq!(hub.status("asking"), "AWAITING_CONSENT");
}

#[test]
fn it_still_waits_after_a_restart_of_the_hub() {
    let mut hub = Hub::start();
    let shown = asked(&hub);
    hub.kill();
    hub.start_again();
    assert_eq!(hub.status("asking"), "AWAITING_CONSENT");
    assert!(hub.try_module("asking").is_none());
    let _granted = hub.client().post("/modules/asking/consent", &shown).expect(200);
    let _heard = hub.hears_again("asking", 10);
}

#[test]
fn what_is_refused_is_dropped() {
    let hub = Hub::start();
    let _shown = asked(&hub);
    let _dropped = hub.admin().delete("/modules/asking/consent").expect(204);
    assert_eq!(hub.admin().delete("/modules/asking/consent").status, 404);
    let _port_is_free = hub.install(&Package::probe("other", 8100));
}

#[test]
fn a_later_upload_replaces_one_that_waits() {
    let hub = Hub::start();
    let first = asked(&hub);
    let answer = hub.try_install(&asking().version("1.1.0")).expect(202).json();
    assert_eq!((&answer["status"], &answer["version"]), (&json!("AWAITING_CONSENT"), &json!("1.1.0")));
    assert_eq!(hub.admin().post("/modules/asking/consent", &first).status, 409, "the first is no more");
    let shown = json!({ "version": "1.1.0", "adds": answer["adds"] });
    let _granted = hub.admin().post("/modules/asking/consent", &shown).expect(200);
    assert_eq!(hub.details("asking")["version"], "1.1.0");
}

#[test]
fn m12_an_update_that_adds_a_permission_waits_and_the_old_version_runs() {
    let hub = Hub::start();
    let old = Package::probe("grows", 8100).with("permissions", json!(["device.read", "events.subscribe"]));
    let before = hub.install(&old);
    let new = Package::probe("grows", 8100).version("1.1.0");
    let answer = hub.try_install(&new).expect(202).json();
    assert_eq!((&answer["status"], &answer["version"]), (&json!("AWAITING_CONSENT"), &json!("1.1.0")));
    assert_eq!(answer["adds"]["permissions"], json!(["device.write", "events.publish"]));
    let now = hub.hears_again("grows", 10);
    assert_eq!(now.container, before.container, "the old version runs on");
    assert_eq!(hub.details("grows")["version"], "1.0.0");
    let shown = json!({ "version": "1.1.0", "adds": answer["adds"] });
    let _granted = hub.admin().post("/modules/grows/consent", &shown).expect(200);
    assert_eq!(hub.details("grows")["version"], "1.1.0");
}

#[test]
fn an_update_that_waits_for_a_person_outlives_the_hub() {
    let mut hub = Hub::start();
    let _old =
        hub.install(&Package::probe("mover", 8100).with("permissions", json!(["device.read", "events.subscribe"])));
    let more = json!(["device.read", "events.subscribe", "device.write"]);
    let waiting =
        hub.try_install(&Package::probe("mover", 8100).version("1.1.0").with("permissions", more)).expect(202);
    let shown = waiting.json();
    assert_eq!(hub.terminate(), Some(0), "the hub ends well");
    hub.start_again();
    let _running = hub.hears_again("mover", 20);
    assert_eq!(hub.admin().get("/modules/mover/consent").expect(200).json()["adds"], shown["adds"]);
    let grant = json!({ "version": shown["version"], "adds": shown["adds"] });
    let _granted = hub.admin().post("/modules/mover/consent", &grant).expect(200);
    assert_eq!(hub.details("mover")["version"], "1.1.0");
}
