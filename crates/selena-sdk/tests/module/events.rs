//! Events and commands as the hub delivers them.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use selena_sdk::{Module, Value, json};
use selena_testkit::FakeHub;
use uuid::Uuid;

use crate::{DRIVER, run};

/// Tells the hub of every `test.*` event it handles, and how many there were.
fn telling(module: Module) -> Module {
    let count = Cell::new(0);
    module.on_event("test.*", async move |hub, event| {
        count.set(count.get() + 1);
        hub.publish("probe.heard", json!({ "n": event.payload["n"], "count": count.get() })).await?;
        Ok(())
    })
}

#[tokio::test]
async fn events_come_in_order_and_once() {
    let hub = FakeHub::start(DRIVER).await;
    run(&hub, telling, async |_| Ok(()));
    hub.expect_subscription().await;
    let first = hub.publish("test.a", json!({ "n": 1 })).await;
    for n in 2..=20 {
        hub.publish("test.b", json!({ "n": n })).await;
    }
    for n in 1..=20 {
        assert_eq!(hub.expect_event("probe.heard").await.payload, json!({ "n": n, "count": n }));
    }
    assert_eq!(hub.deliver_again(&first).await, 200, "told again that all is well");
    hub.publish("test.c", json!({ "n": 21 })).await;
    assert_eq!(hub.expect_event("probe.heard").await.payload["count"], 21, "the second delivery was not handled");
}

#[tokio::test]
async fn what_the_hub_did_not_sign_is_refused_unread() {
    let hub = FakeHub::start(DRIVER).await;
    run(&hub, |module| telling(module).on_command("go", async |_, _| Ok(json!({}))), async |_| Ok(()));
    hub.expect_subscription().await;
    assert_eq!(hub.bad_signature_event("test.a", json!({ "n": 666 })).await, 401);
    hub.publish("test.b", json!({ "n": 1 })).await;
    assert_eq!(hub.expect_event("probe.heard").await.payload, json!({ "n": 1, "count": 1 }));
}

#[tokio::test]
async fn an_event_whose_handler_failed_is_delivered_again() {
    let hub = FakeHub::start(DRIVER).await;
    let failing = |module: Module| {
        let tries = Cell::new(0);
        module.on_event("test.*", async move |hub, _| {
            tries.set(tries.get() + 1);
            match tries.get() {
                1 => Err("not yet".into()),
                2 => panic!("a handler's panic is its own"),
                tries => {
                    hub.publish("probe.heard", json!({ "tries": tries })).await?;
                    Ok(())
                }
            }
        })
    };
    run(&hub, failing, async |_| Ok(()));
    hub.expect_subscription().await;
    hub.publish("test.a", json!({})).await;
    assert_eq!(hub.expect_event("probe.heard").await.payload["tries"], 3);
}

#[tokio::test]
async fn a_slow_handler_is_not_disturbed_by_the_next_delivery() {
    let hub = FakeHub::start(DRIVER).await;
    let slow = |module: Module| {
        let log = Rc::new(RefCell::new(Vec::new()));
        module.on_event("test.*", async move |hub, event| {
            log.borrow_mut().push(json!("begin"));
            if event.event_type.as_str() == "test.slow" {
                // The handler ends when a command says so: see below.
                hub.publish("probe.waits", json!({})).await?;
                while hub.config().await?.get("step").is_none() {
                    selena_sdk::tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            log.borrow_mut().push(json!("end"));
            let so_far = log.borrow().clone();
            hub.publish("probe.log", Value::from_iter([("log", so_far)])).await?;
            Ok(())
        })
    };
    run(&hub, slow, async |_| Ok(()));
    hub.expect_subscription().await;
    let event = hub.publish("test.slow", json!({})).await;
    hub.expect_event("probe.waits").await;
    // A second delivery of the same event, and the next event, both while the first is being handled.
    let again = hub.deliver_again(&event);
    let release = async { hub.set_config("step", json!(1)).await };
    assert_eq!(tokio::join!(again, release).0, 200);
    hub.publish("test.next", json!({})).await;
    assert_eq!(hub.expect_event("probe.log").await.payload["log"], json!(["begin", "end"]));
    assert_eq!(hub.expect_event("probe.log").await.payload["log"], json!(["begin", "end", "begin", "end"]));
}

#[tokio::test]
async fn commands_are_answered_and_done_once() {
    let hub = FakeHub::start(DRIVER).await;
    let counting = |module: Module| {
        let count = Cell::new(0);
        module
            .on_command("count", async move |_, args| {
                count.set(count.get() + 1);
                Ok(json!({ "count": count.get(), "args": args }))
            })
            .on_command("fail", async |_, _| Err("it broke".into()))
    };
    run(&hub, counting, async |_| Ok(()));
    hub.expect_healthy().await;
    let id = Uuid::new_v4();
    for _ in 0..2 {
        let answer = hub.command_with_id(id, "count", json!({ "x": 1 })).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "count": 1, "args": { "x": 1 } })));
    }
    assert_eq!(hub.command("count", json!(null)).await.json()["count"], 2);
    let failed = hub.command("fail", json!({})).await;
    assert_eq!((failed.status, failed.json()), (500, json!({ "detail": "it broke" })));
    assert_eq!(hub.command("unknown", json!({})).await.status, 404);
}
