//! The lamp: its device at the hub, and what it does about an event.

use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

use crate::core_client::{CallError, CoreClient};
use crate::http::Message;
use crate::log;
use crate::signature::WebhookSecret;
use crate::thermostat::{self, Switch};

const DEVICE_NAME: &str = "Sample lamp";
const OK: &str = r#"{"status":"ok"}"#;

pub(crate) struct Lamp {
    core: CoreClient,
    secret: WebhookSecret,
    device_id: OnceLock<String>,
    on: Mutex<Option<bool>>,
}

impl Lamp {
    pub(crate) fn new(core: CoreClient, secret: WebhookSecret) -> Self {
        Self { core, secret, device_id: OnceLock::new(), on: Mutex::new(None) }
    }

    /// Makes the lamp known to the hub: device first, then the events it follows. Waits for a hub that is away.
    pub(crate) fn register(&self, module: &str, port: u16) -> Result<(), CallError> {
        let device = self.own_device(module)?;
        let id = device["device_id"].as_str().ok_or(CallError::Refused(0))?;
        log(&format!("device {id}"));
        *self.on.lock().unwrap_or_else(PoisonError::into_inner) = device["state"]["on"].as_bool();
        self.device_id.set(id.to_owned()).expect("a lamp registers once");
        let webhook_url = format!("http://localhost:{port}/webhook/events");
        let subscription = json!({"event_types": ["device.state_changed"], "webhook_url": webhook_url});
        self.core.call_until_answered("POST", "/events/subscribe", Some(&subscription))?;
        log("subscribed to device.state_changed");
        Ok(())
    }

    /// The device of an earlier start, or a new one.
    fn own_device(&self, module: &str) -> Result<Value, CallError> {
        let known = self.core.call_until_answered("GET", "/devices", None)?;
        let mut known = known["devices"].as_array().into_iter().flatten();
        if let Some(own) = known.find(|device| device["module_id"] == module && device["name"] == DEVICE_NAME) {
            return Ok(own.clone());
        }
        let device = json!({"name": DEVICE_NAME, "type": "actuator", "protocol": "sample", "capabilities": ["on"]});
        self.core.call_until_answered("POST", "/devices", Some(&device))
    }

    /// Status and body of the answer to a request of the hub.
    pub(crate) fn answer(&self, request: &Message) -> (u16, &'static str) {
        match (request.word(0), request.word(1)) {
            ("GET", "/health") => (200, OK),
            ("POST", "/webhook/events") => self.webhook(request),
            _ => (404, r#"{"detail":"no such page"}"#),
        }
    }

    fn webhook(&self, request: &Message) -> (u16, &'static str) {
        if !self.secret.signed(&request.body, request.header("x-selena-signature")) {
            log("refused an event with a wrong signature");
            return (401, r#"{"detail":"wrong signature"}"#);
        }
        let Ok(event) = serde_json::from_slice(&request.body) else {
            return (400, r#"{"detail":"the event is no JSON"}"#);
        };
        match self.follow(&event) {
            Ok(()) => (200, OK),
            Err(error) => {
                log(&format!("could not switch: {error}"));
                // An event answered so is delivered again.
                (503, r#"{"detail":"could not switch"}"#)
            }
        }
    }

    /// Switches if the event tells of a temperature that asks for it. The same event twice does nothing more.
    fn follow(&self, event: &Value) -> Result<(), CallError> {
        let Some(celsius) = event["payload"]["new_state"]["temperature"].as_f64() else { return Ok(()) };
        let mut on = self.on.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(switch) = thermostat::decide(*on, celsius) else { return Ok(()) };
        self.switch(&switch)?;
        *on = Some(switch.on);
        Ok(())
    }

    fn switch(&self, switch: &Switch) -> Result<(), CallError> {
        // Not registered means not subscribed: no event can have come yet.
        let Some(id) = self.device_id.get() else { return Ok(()) };
        let Switch { on, because } = switch;
        self.core.call("PATCH", &format!("/devices/{id}/state"), Some(&json!({"state": {"on": on}})))?;
        let event = json!({"event_type": "lamp.switched", "payload": {"on": on, "because": because}});
        self.core.call("POST", "/events/publish", Some(&event))?;
        log(&format!("{}: {because}", if *on { "on" } else { "off" }));
        Ok(())
    }
}
