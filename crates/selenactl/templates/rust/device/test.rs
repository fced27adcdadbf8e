//! The module as a plain process, beside a hub in memory.

use selena_testkit::FakeHub;
use tokio::process::Command;

#[tokio::test]
async fn it_registers_a_sensor_and_reports_its_temperature() {
    let hub = FakeHub::for_package(env!("CARGO_MANIFEST_DIR")).await;
    let _module = hub.start_module(Command::new(env!("CARGO_BIN_EXE_{{name}}"))).await;
    hub.expect_device("{{name}} sensor", |device| device.state.contains_key("celsius")).await;
}
