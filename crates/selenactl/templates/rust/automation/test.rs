//! The module as a plain process, beside a hub in memory.

use selena_sdk::json;
use selena_testkit::FakeHub;
use tokio::process::Command;

#[tokio::test]
async fn it_warns_of_what_is_too_warm_and_of_nothing_else() {
    let hub = FakeHub::for_package(env!("CARGO_MANIFEST_DIR")).await;
    let stove = hub.register_device(&json!({ "name": "Stove", "type": "sensor", "protocol": "test" })).await;
    let _module = hub.start_module(Command::new(env!("CARGO_BIN_EXE_{{name}}"))).await;
    hub.expect_subscription().await;
    for celsius in [21.0, 31.0] {
        hub.set_state(stove.device_id, json!({ "celsius": celsius })).await;
    }
    assert_eq!(hub.expect_event("{{name}}.too_warm").await.payload["celsius"], 31.0);
    assert_eq!(hub.bad_signature_event("device.state_changed", json!({})).await, 401);
}
