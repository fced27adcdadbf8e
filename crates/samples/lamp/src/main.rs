//! Sample module: a lamp that is on while a thermometer says it is cold.
//!
//! It holds one `actuator` device, is told of every state change, and switches itself.
//! It knows the SDK and nothing else of the hub.

mod thermostat;

use std::{cell::RefCell, rc::Rc};

use selena_sdk::{DeviceKind, Event, Hub, Module, NewDevice, Result, RunError, json, log};

use crate::thermostat::Switch;

/// The lamp's device with its state, once the hub knows it.
#[derive(Default)]
struct Lamp {
    device: RefCell<Option<selena_sdk::Device>>,
}

impl Lamp {
    /// The device of an earlier start, or a new one.
    async fn register(&self, hub: &Hub) -> Result {
        let device = NewDevice::new("Sample lamp", DeviceKind::Actuator, "sample").capability("on");
        let device = hub.device_once(&device).await?;
        log(format_args!("device {}", device.device_id));
        self.device.replace(Some(device));
        Ok(())
    }

    /// Switches if the event tells of a temperature that asks for it. The same event twice does nothing more.
    async fn follow(&self, hub: &Hub, event: &Event) -> Result {
        let Some(celsius) = event.payload["new_state"]["temperature"].as_f64() else { return Ok(()) };
        let Some(lamp) = self.device.borrow().clone() else { return Ok(()) };
        let on = lamp.state.get("on").and_then(|on| on.as_bool());
        let Some(Switch { on, because }) = thermostat::decide(on, celsius) else { return Ok(()) };
        let lamp = hub.devices().set_state(lamp.device_id, json!({ "on": on })).await?;
        hub.publish("lamp.switched", json!({ "on": on, "because": because })).await?;
        // Only now: an event that failed half-way comes again, and is then followed as a whole.
        self.device.replace(Some(lamp));
        log(format_args!("{}: {because}", if on { "on" } else { "off" }));
        Ok(())
    }
}

fn main() -> Result<(), RunError> {
    let lamp = Rc::new(Lamp::default());
    let registering = lamp.clone();
    Module::from_env()?
        .prepare(async move |hub| registering.register(&hub).await)
        .on_event("device.state_changed", async move |hub, event| lamp.follow(&hub, &event).await)
        .run(async |_| Ok(()))
}
