//! How events reach their subscribers (protocol, section 6).

use std::time::{Duration, Instant, SystemTime};

use selena_tests::{Hub, Package, Receiver, Reply, Webhook, signature};
use serde_json::{Value, json};

fn subscribe(hub: &Hub, receiver: &Receiver, types: &Value) {
    let body = json!({ "event_types": types, "webhook_url": receiver.url("/hook?x=1") });
    let _subscribed = hub.client().post("/events/subscribe", &body).expect(201);
}

#[test]
fn a_webhook_has_all_its_headers_and_a_signature_over_its_raw_body() {
    let hub = Hub::start();
    let receiver = Receiver::start();
    subscribe(&hub, &receiver, &json!(["test.*"]));
    let text = "ä \u{1f980} \" \\ \n </script>";
    let answer = hub
        .client()
        .post("/events/publish", &json!({ "event_type": "test.x", "payload": { "text": text, "float": 1.0 } }));
    let id = answer.expect(200).json()["event_id"].clone();
    let webhook = receiver.wait_for(1, 5).remove(0);
    assert_eq!(webhook.path, "/hook?x=1");
    let event = webhook.event();
    assert_eq!(event["payload"]["text"], text);
    assert_eq!((&event["id"], &event["event_id"]), (&id, &id));
    assert_eq!(webhook.header("content-type"), "application/json");
    assert_eq!(json!(webhook.header("x-event-id")), id);
    assert_eq!((webhook.header("x-event-type"), webhook.header("x-selena-event")), ("test.x", "test.x"));
    assert_eq!(webhook.header("x-selena-delivery"), "1");
    let stamp: u64 = webhook.header("x-selena-timestamp").parse().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(stamp) < 10, "Unix seconds");
    assert_eq!(webhook.header("x-selena-signature"), signature::of(hub.webhook_secret(), &webhook.body));
    assert!(webhook.header("authorization").is_empty(), "no token goes to a module");
}

#[test]
fn a_change_of_a_device_reaches_the_module_that_asked_signed_with_its_own_key() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("listener", 8100));
    let device = hub.device("actuator");
    let _set = hub.client().patch(&format!("/devices/{device}/state"), &json!({ "state": { "on": true } })).expect(200);
    let heard = module.hears("device.state_changed");
    let payload =
        json!({ "device_id": device, "old_state": {}, "new_state": { "on": true }, "changed_by": "dev-module" });
    assert_eq!(heard.event()["payload"], payload);
    let expected = signature::of(&module.webhook_secret(), heard.body.as_bytes());
    assert_eq!(heard.headers["x-selena-signature"], expected);
}

#[test]
fn two_hundred_events_arrive_in_order_each_once() {
    let hub = Hub::unlimited();
    let receiver = Receiver::start();
    subscribe(&hub, &receiver, &json!(["test.*"]));
    for n in 0..200 {
        let _published =
            hub.client().post("/events/publish", &json!({ "event_type": "test.n", "payload": { "n": n } })).expect(200);
    }
    let all = receiver.wait_for(200, 20);
    let numbers: Vec<_> = all.iter().map(|webhook| webhook.event()["payload"]["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

#[test]
fn e07_e10_a_failed_delivery_is_the_same_event_three_times_and_then_given_up() {
    let hub = Hub::start();
    let receiver = Receiver::answering(|number| Reply::Status(if number < 3 { 500 } else { 200 }));
    subscribe(&hub, &receiver, &json!(["test.*"]));
    hub.publish("test.lost");
    hub.publish("test.next");
    let all = receiver.wait_for(4, 15);
    let attempts: Vec<_> =
        all.iter().map(|webhook| (webhook.event_type(), webhook.header("x-selena-delivery").to_owned())).collect();
    let expected = [("test.lost", "1"), ("test.lost", "2"), ("test.lost", "3"), ("test.next", "1")];
    assert_eq!(attempts, expected.map(|(event, attempt)| (event.to_owned(), attempt.to_owned())));
    let ids: Vec<_> = all[..3].iter().map(|webhook| webhook.header("x-event-id")).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "the same event each time");
    let pause = |from: usize| all[from + 1].at.duration_since(all[from].at);
    assert!((900..1_800).contains(&pause(0).as_millis()), "1 s apart: {:?}", pause(0));
    assert!((1_900..2_800).contains(&pause(1).as_millis()), "2 s apart: {:?}", pause(1));
    assert!(
        all.iter()
            .all(|webhook| webhook.header("x-selena-signature") == signature::of(hub.webhook_secret(), &webhook.body))
    );
    assert!(hub.log().contains("given up after 3 attempts"));
}

#[test]
fn any_answer_below_500_is_a_delivery_and_no_redirect_is_followed() {
    let hub = Hub::start();
    let statuses = [200, 204, 302, 400, 404, 410, 429];
    let receiver = Receiver::answering(move |number| Reply::Status(*statuses.get(number).unwrap_or(&200)));
    subscribe(&hub, &receiver, &json!(["test.*"]));
    for n in 0..8 {
        hub.publish(&format!("test.n{n}"));
    }
    let all = receiver.wait_for(8, 10);
    assert!(all.iter().all(|webhook| webhook.header("x-selena-delivery") == "1"), "each one tried once");
    assert_eq!(receiver.types(), (0..8).map(|n| format!("test.n{n}")).collect::<Vec<_>>());
}

#[test]
fn e04_e10_a_slow_subscriber_delays_nobody_else() {
    let hub = Hub::start();
    let (slow, quick) = (Receiver::answering(|_| Reply::Silence), Receiver::start());
    subscribe(&hub, &slow, &json!(["test.*"]));
    subscribe(&hub, &quick, &json!(["test.*"]));
    let begun = Instant::now();
    for n in 0..20 {
        hub.publish(&format!("test.n{n}"));
    }
    let _all = quick.wait_for(20, 4);
    assert!(begun.elapsed() < Duration::from_secs(4), "neither the publisher nor the other one waits");
    let attempts = slow.wait_for(3, 25);
    let seen: Vec<_> =
        attempts.iter().map(|webhook| (webhook.event_type(), webhook.header("x-selena-delivery").to_owned())).collect();
    assert_eq!(seen[..2], [("test.n0".to_owned(), "1".to_owned()), ("test.n0".to_owned(), "2".to_owned())]);
    let pause = attempts[1].at.duration_since(attempts[0].at).as_secs_f32();
    assert!((5.5..8.0).contains(&pause), "5 s of patience and a pause of 1 s: {pause}");
}

#[test]
fn e04_the_queue_of_one_subscriber_holds_a_thousand_events() {
    let hub = Hub::unlimited();
    let slow = Receiver::answering(|number| if number == 0 { Reply::Silence } else { Reply::Status(200) });
    subscribe(&hub, &slow, &json!(["test.*"]));
    hub.publish("test.first");
    let _held = slow.wait_for(1, 5);
    for n in 0..1_200 {
        let _published =
            hub.client().post("/events/publish", &json!({ "event_type": "test.n", "payload": { "n": n } })).expect(200);
    }
    let all = slow.wait_for(1_002, 30);
    let numbers: Vec<_> = all.iter().filter_map(|webhook| webhook.event()["payload"]["n"].as_i64()).collect();
    assert_eq!(numbers, (200..1_200).collect::<Vec<_>>(), "the oldest are dropped");
}

#[test]
fn one_connection_is_kept_for_one_module() {
    let hub = Hub::start();
    let receiver = Receiver::start();
    subscribe(&hub, &receiver, &json!(["test.*"]));
    for n in 0..10 {
        hub.publish(&format!("test.n{n}"));
    }
    let all = receiver.wait_for(10, 5);
    let connections: std::collections::HashSet<_> = all.iter().map(Webhook::connection).collect();
    assert_eq!(connections.len(), 1);
}

#[test]
fn patterns_match_as_the_protocol_says() {
    let hub = Hub::start();
    let cases = [
        (json!(["test.a"]), vec!["test.a"]),
        (json!(["test.*"]), vec!["test.a", "test.a.b"]),
        (json!(["testx.*", "test.a.b"]), vec!["test.a.b", "testx.a"]),
        (json!(["test.*", "test.a"]), vec!["test.a", "test.a.b"]),
    ];
    let receivers: Vec<_> = cases
        .iter()
        .map(|(types, _)| {
            let receiver = Receiver::start();
            subscribe(&hub, &receiver, &json!([types.as_array().unwrap().clone(), vec![json!("end")]].concat()));
            receiver
        })
        .collect();
    for event_type in ["test.a", "test.a.b", "testx.a", "test", "other", "end"] {
        hub.publish(event_type);
    }
    for (receiver, (types, expected)) in receivers.iter().zip(&cases) {
        let all = receiver.wait_for(expected.len() + 1, 5);
        let got: Vec<_> = all.iter().map(Webhook::event_type).collect();
        assert_eq!(got[..got.len() - 1], *expected, "{types}");
        assert_eq!(got.last().map(String::as_str), Some("end"), "{types}");
    }
}
