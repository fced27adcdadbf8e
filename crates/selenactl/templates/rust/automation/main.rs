//! {{name}}: tells all when a device says that it is too warm.

use selena_sdk::{Event, Hub, Module, RunError, json};

const LIMIT_CELSIUS: f64 = 30.0;

fn main() -> Result<(), RunError> {
    Module::from_env()?.on_event("device.state_changed", follow).run(async |_| Ok(()))
}

async fn follow(hub: Hub, event: Event) -> selena_sdk::Result {
    let Some(celsius) = event.payload["new_state"]["celsius"].as_f64() else { return Ok(()) };
    if celsius > LIMIT_CELSIUS {
        let warning = json!({ "device_id": event.payload["device_id"], "celsius": celsius });
        hub.publish("{{name}}.too_warm", warning).await?;
    }
    Ok(())
}
