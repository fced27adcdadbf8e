//! A hub that is busy, away or new.

use std::{sync::Arc, time::Duration};

use selena_sdk::{
    DeviceKind, NewDevice, json,
    tokio::{sync::Notify, time::sleep},
};
use selena_testkit::FakeHub;

use crate::{DRIVER, end_of, run};

fn count(hub: &FakeHub, method: &str, path: &str) -> usize {
    let path = format!("/api/v1{path}");
    hub.requests().iter().filter(|seen| seen.method == method && seen.path == path).count()
}

#[tokio::test]
async fn a_busy_hub_is_asked_again_but_nothing_is_done_twice() {
    let hub = FakeHub::start(DRIVER).await;
    let lamp = || NewDevice::new("Lamp", DeviceKind::Actuator, "test");
    hub.refuse_next(503, 2);
    hub.refuse_next(429, 1);
    let end = run(
        &hub,
        |module| module,
        async move |hub| {
            // Three refusals, then an answer.
            assert!(hub.devices().list().await?.is_empty());
            Err(hub.devices().register(&lamp()).await.map(|_| "registered").map_err(|e| e.to_string())?.into())
        },
    );
    assert!(end_of(end).await.contains("registered"));
    assert_eq!(count(&hub, "GET", "/devices"), 4);
    assert_eq!(count(&hub, "POST", "/devices"), 1);

    hub.refuse_next(503, 1);
    let end = run(
        &hub,
        |module| module,
        async move |hub| {
            let error = hub.devices().register(&lamp()).await.expect_err("503 might have been done");
            Err(format!("status {:?}", error.status()).into())
        },
    );
    assert!(end_of(end).await.contains("status Some(503)"));
    assert_eq!(count(&hub, "POST", "/devices"), 2, "it was asked once more, not twice");
}

#[tokio::test]
async fn a_hub_that_stays_away_is_given_up_in_time() {
    let mut hub = FakeHub::start(DRIVER).await;
    hub.go_away().await;
    let end = run(
        &hub,
        |module| module.patience(Duration::from_millis(150)),
        async |hub| {
            hub.devices().list().await?;
            Ok(())
        },
    );
    let end = end_of(end).await;
    assert!(end.contains("the hub takes no connections: GET /devices was not asked"), "{end}");
}

#[tokio::test]
async fn a_hub_that_restarted_is_subscribed_to_again() {
    let mut hub = FakeHub::start(DRIVER).await;
    run(
        &hub,
        |module| {
            module.resubscribe_every(Duration::from_millis(50)).on_event("test.*", async |hub, event| {
                hub.publish("probe.heard", event.payload).await?;
                Ok(())
            })
        },
        async |_| Ok(()),
    );
    hub.expect_subscription().await;
    hub.go_away().await;
    hub.come_back().await;
    hub.expect_subscription().await;
    hub.publish("test.a", json!({ "after": "the restart" })).await;
    assert_eq!(hub.expect_event("probe.heard").await.payload["after"], "the restart");
}

#[tokio::test]
async fn a_call_that_finds_the_hub_back_renews_the_subscription_at_once() {
    let mut hub = FakeHub::start(DRIVER).await;
    let lost = Arc::new(Notify::new());
    let noticed = lost.clone();
    run(
        &hub,
        move |module| {
            // By the clock it would be renewed long after this test.
            let module = module.resubscribe_every(Duration::from_secs(3600)).patience(Duration::ZERO);
            module.on_event("test.*", async |_, _| Ok(())).on_command("notice", async move |_, _| {
                noticed.notified().await;
                Ok(json!({}))
            })
        },
        async move |hub| {
            loop {
                if hub.health().await.is_err() {
                    lost.notify_one();
                }
                sleep(Duration::from_millis(60)).await;
            }
        },
    );
    hub.expect_subscription().await;
    hub.go_away().await;
    assert_eq!(hub.command("notice", json!({})).await.status, 200);
    hub.come_back().await;
    hub.expect_subscription().await;
}
