//! The hub's API through the SDK's client.

use selena_sdk::{DeviceKind, HubError, NewDevice, json};
use selena_testkit::FakeHub;

use crate::{DRIVER, run};

#[tokio::test]
async fn a_device_is_registered_once_and_lives() {
    let hub = FakeHub::start(DRIVER).await;
    run(
        &hub,
        |module| module,
        async |hub| {
            let new = NewDevice::new("Lamp", DeviceKind::Sensor, "test").capability("on").meta("room", "hall");
            let first = hub.device_once(&new).await?;
            let second = hub.device_once(&new).await?;
            assert_eq!(first.device_id, second.device_id, "found again");
            assert_eq!(hub.devices().list().await?.len(), 1);
            for step in 0..3 {
                hub.devices().set_state(first.device_id, json!({ "step": step })).await?;
            }
            assert_eq!(hub.devices().get(first.device_id).await?.state["step"], 2);
            let history = hub.devices().history(first.device_id, None, 2).await?;
            assert_eq!(history.iter().map(|at| at.state["step"].clone()).collect::<Vec<_>>(), [2, 1]);
            let later = history[0].timestamp;
            assert!(hub.devices().history(first.device_id, Some(later), 10).await?.is_empty());
            hub.devices().delete(first.device_id).await?;
            hub.publish("probe.done", json!({ "left": hub.devices().list().await?.len() })).await?;
            Ok(())
        },
    );
    assert_eq!(hub.expect_event("probe.done").await.payload["left"], 0);
}

#[tokio::test]
async fn refusals_are_typed() {
    let hub = FakeHub::start(DRIVER).await;
    let theirs = hub.register_device(&json!({ "name": "Theirs", "type": "sensor", "protocol": "test" })).await;
    let id = theirs.device_id;
    run(
        &hub,
        |module| module,
        async move |hub| {
            let mut codes = Vec::new();
            let mut note = |error: HubError| codes.push(json!([error.status(), error.code()]));
            note(hub.devices().set_state(id, json!({})).await.expect_err("not ours"));
            note(hub.devices().delete(id).await.expect_err("not ours"));
            note(hub.publish("other.type", json!({})).await.expect_err("not declared"));
            note(hub.subscribe(&["core.*"], "/webhook/events").await.expect_err("reserved"));
            note(hub.devices().register(&NewDevice::new("", DeviceKind::Virtual, "x")).await.expect_err("no name"));
            hub.publish("probe.done", json!({ "codes": codes })).await?;
            Ok(())
        },
    );
    let expected = json!([
        [403, "not_your_device"],
        [403, "not_your_device"],
        [403, "event_not_declared"],
        [403, "event_reserved"],
        [422, "validation_error"],
    ]);
    assert_eq!(hub.expect_event("probe.done").await.payload["codes"], expected);
}

#[tokio::test]
async fn what_the_manifest_does_not_grant_is_refused() {
    let manifest = DRIVER.replace(r#""device.write", "#, "");
    let hub = FakeHub::start(&manifest).await;
    run(
        &hub,
        |module| module,
        async |hub| {
            let new = NewDevice::new("Lamp", DeviceKind::Actuator, "test");
            let error = hub.device_once(&new).await.expect_err("not granted");
            hub.publish("probe.done", json!({ "error": error.to_string() })).await?;
            Ok(())
        },
    );
    let error = hub.expect_event("probe.done").await.payload["error"].to_string();
    assert!(error.contains("Permission 'device.write' not granted in manifest.json"), "{error}");
    hub.expect_request("POST", "/devices", 403).await;
}

#[tokio::test]
async fn settings_and_history_are_read() {
    let hub = FakeHub::start(DRIVER).await;
    hub.set_config("step", json!(5)).await;
    hub.publish("test.before", json!({})).await;
    run(
        &hub,
        |module| module,
        async |hub| {
            let (events, next) = hub.events(0, 100).await?;
            let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
            let subscription = hub.subscribe(&["test.*"], "/webhook/other").await?;
            hub.unsubscribe(subscription.subscription_id).await?;
            let gone = hub.unsubscribe(subscription.subscription_id).await.expect_err("it is gone");
            let payload = json!({
                "step": hub.config().await?["step"], "types": types, "next": next > 0,
                "gone": gone.status(), "mode": hub.health().await?["mode"],
            });
            hub.publish("probe.done", payload).await?;
            Ok(())
        },
    );
    let expected = json!({ "step": 5, "types": ["test.before"], "next": true, "gone": 404, "mode": "normal" });
    assert_eq!(hub.expect_event("probe.done").await.payload, expected);
}
