//! What ends a module at its start.

use selena_sdk::{Module, RunError};
use selena_testkit::FakeHub;

use crate::{DRIVER, end_of, run};

#[tokio::test]
async fn a_subscription_the_manifest_forbids_ends_the_module_with_the_reason() {
    let hub = FakeHub::start(DRIVER).await;
    let end = run(&hub, |module| module.on_event("other.*", async |_, _| Ok(())), async |_| Ok(()));
    let end = end_of(end).await;
    assert!(end.contains("the hub refused the subscription") && end.contains("event_not_declared"), "{end}");
}

#[tokio::test]
async fn a_pattern_that_is_none_is_told() {
    let hub = FakeHub::start(DRIVER).await;
    let end = run(&hub, |module| module.on_event("test*", async |_, _| Ok(())), async |_| Ok(()));
    assert!(end_of(end).await.contains("`test*` is no pattern of events"));
}

#[tokio::test]
async fn without_a_secret_no_event_is_asked_for() {
    let hub = FakeHub::start(DRIVER).await;
    let mut unsigned = hub.env();
    unsigned.retain(|(name, _)| *name != "SELENA_WEBHOOK_SECRET");
    let refused = tokio::task::spawn_blocking(|| {
        let module = Module::from_vars(unsigned).expect("it is good for a module without handlers");
        let end = module.on_event("test.*", async |_, _| Ok(())).run(async |_| Ok(()));
        matches!(end, Err(RunError::NoWebhookSecret))
    });
    assert!(refused.await.expect("it does not panic"));
}

#[tokio::test]
async fn no_error_and_no_debug_output_shows_a_secret() {
    let hub = FakeHub::start(DRIVER).await;
    let env = hub.env();
    let secrets: Vec<_> = env
        .iter()
        .filter(|(name, _)| name.contains("TOKEN") || name.contains("SECRET"))
        .map(|(_, text)| text)
        .collect();
    let module = format!("{:?}", Module::from_vars(env.clone()).expect("good"));
    let end = run(
        &hub,
        |module| module,
        async |hub| {
            let refused = hub.publish("other.type", selena_sdk::json!({})).await.expect_err("not declared");
            Err(format!("{hub:?} {refused:?} {refused}").into())
        },
    );
    let end = end_of(end).await;
    assert!(end.contains("event_not_declared"), "{end}");
    for secret in secrets {
        assert!(!secret.is_empty() && !end.contains(secret.as_str()) && !module.contains(secret.as_str()));
    }
}
