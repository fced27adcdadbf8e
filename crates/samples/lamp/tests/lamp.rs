//! The lamp as a plain process, beside a hub in memory.

use selena_sdk::json;
use selena_testkit::FakeHub;
use tokio::process::Command;

#[tokio::test]
async fn it_follows_a_thermometer_and_remembers_its_device() {
    let hub = FakeHub::for_package(env!("CARGO_MANIFEST_DIR")).await;
    let thermometer =
        hub.register_device(&json!({ "name": "Thermometer", "type": "sensor", "protocol": "test" })).await;
    let program = env!("CARGO_BIN_EXE_sample-lamp");
    let lamp = hub.start_module(Command::new(program)).await;
    hub.expect_subscription().await;
    for (celsius, on) in [(19.0, true), (23.0, false)] {
        hub.set_state(thermometer.device_id, json!({ "temperature": celsius })).await;
        hub.expect_device("Sample lamp", |lamp| lamp.state.get("on") == Some(&json!(on))).await;
        assert_eq!(hub.expect_event("lamp.switched").await.payload["on"], on);
    }
    lamp.kill().await;
    let _again = hub.start_module(Command::new(program)).await;
    hub.expect_subscription().await;
    hub.set_state(thermometer.device_id, json!({ "temperature": 18.5 })).await;
    hub.expect_device("Sample lamp", |lamp| lamp.state.get("on") == Some(&json!(true))).await;
    assert_eq!(hub.devices().len(), 2, "the lamp found its device again");
}
