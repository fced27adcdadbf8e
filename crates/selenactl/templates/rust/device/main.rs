//! {{name}}: one sensor that reports its temperature again and again.

use std::time::{Duration, SystemTime};

use selena_sdk::{DeviceKind, Hub, Module, NewDevice, RunError, json, log, tokio::time::sleep};

const REPORT_EVERY: Duration = Duration::from_secs(30);

fn main() -> Result<(), RunError> {
    Module::from_env()?.run(report)
}

async fn report(hub: Hub) -> selena_sdk::Result {
    let sensor = NewDevice::new("{{name}} sensor", DeviceKind::Sensor, "demo").capability("celsius");
    // The device of an earlier start, or a new one.
    let sensor = hub.device_once(&sensor).await?;
    log(format_args!("device {}", sensor.device_id));
    loop {
        hub.devices().set_state(sensor.device_id, json!({ "celsius": read_celsius() })).await?;
        sleep(REPORT_EVERY).await;
    }
}

/// Read your hardware here. This one makes up a temperature that goes up and down.
fn read_celsius() -> f64 {
    let secs = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs() % 60);
    20.0 + secs.abs_diff(30) as f64 / 10.0
}
