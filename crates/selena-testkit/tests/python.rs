//! The Python SDK beside this hub: `tests/python`, run by the machine's own Python.

use std::{path::Path, process::Command};

use selena_testkit::{Device, FakeHub};

/// The directory of the Python SDK.
fn sdk() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/python-base")
}

#[test]
fn the_python_sdk_passes_its_tests() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let status = Command::new("python3")
        .args(["-B", "-m", "unittest", "-v"])
        .current_dir(tests)
        .env("PYTHONPATH", sdk())
        .env("FAKE_HUB", env!("CARGO_BIN_EXE_fake-hub"))
        .status();
    assert!(status.expect("python3 is there").success());
}

#[tokio::test]
async fn the_sample_thermometer_reports_and_outlives_its_device() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/thermometer");
    let hub = FakeHub::for_package(&package).await;
    let mut python = tokio::process::Command::new("python3");
    python.arg("-B").arg(package.join("main.py")).env("PYTHONPATH", sdk());
    let _thermometer = hub.start_module(python).await;
    let first = hub.expect_device("Sample thermometer", |device| device.state.contains_key("temperature")).await;
    hub.delete_device(first.device_id).await;
    let another = |device: &Device| device.device_id != first.device_id && device.state.contains_key("temperature");
    hub.expect_device("Sample thermometer", another).await;
}
