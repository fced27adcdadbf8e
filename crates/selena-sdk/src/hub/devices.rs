//! Devices (protocol, section 5).

use hyper::Method;
use selena_types::{DeviceId, DeviceKind, StateAt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Hub, HubError, call::Call};

/// A device, as the hub answers it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Device {
    /// Its id.
    pub device_id: DeviceId,
    /// What people call it.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: DeviceKind,
    /// How it is reached.
    pub protocol: String,
    /// Its state.
    pub state: Map<String, Value>,
    /// What it can do.
    pub capabilities: Vec<Value>,
    /// When its state was last set: Unix seconds, or `None` if never.
    pub last_seen: Option<f64>,
    /// The module that registered it; `None` after that module was removed.
    pub module_id: Option<String>,
    /// What its module says about it.
    pub meta: Map<String, Value>,
}

/// Whose devices are those of a module that runs as a plain process beside a development hub (protocol, section 12).
const DEVELOPMENT: &str = "dev-module";

/// A device to register.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NewDevice {
    name: String,
    #[serde(rename = "type")]
    kind: DeviceKind,
    protocol: String,
    capabilities: Vec<Value>,
    meta: Map<String, Value>,
}

impl NewDevice {
    /// A device: what people call it (1 to 255 characters), and how it is reached (1 to 50).
    #[must_use]
    pub fn new(name: impl Into<String>, kind: DeviceKind, protocol: impl Into<String>) -> Self {
        let (name, protocol) = (name.into(), protocol.into());
        Self { name, kind, protocol, capabilities: Vec::new(), meta: Map::new() }
    }

    /// Adds something it can do.
    #[must_use]
    pub fn capability(mut self, capability: impl Into<Value>) -> Self {
        self.capabilities.push(capability.into());
        self
    }

    /// Adds something to know about it; `heartbeat_s` makes the hub notice its silence.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.insert(key.into(), value.into());
        self
    }
}

/// The hub's devices: [`Hub::devices`].
#[derive(Clone, Copy, Debug)]
pub struct Devices<'a> {
    hub: &'a Hub,
}

impl<'a> Devices<'a> {
    pub(super) fn new(hub: &'a Hub) -> Self {
        Self { hub }
    }

    /// `GET /devices`: all of them, also those of other modules.
    ///
    /// # Errors
    /// [`HubError`], as with every method here.
    pub async fn list(self) -> Result<Vec<Device>, HubError> {
        #[derive(Deserialize)]
        struct Answer {
            devices: Vec<Device>,
        }
        self.hub.ask::<Answer>(Call::new(Method::GET, "/devices")).await.map(|answer| answer.devices)
    }

    /// `GET /devices/{id}`.
    ///
    /// # Errors
    /// 404 `not_found`.
    pub async fn get(self, id: DeviceId) -> Result<Device, HubError> {
        self.hub.ask(Call::new(Method::GET, format!("/devices/{id}"))).await
    }

    /// `POST /devices`: always a new one; see [`Devices::once`].
    ///
    /// # Errors
    /// 409 `limit_devices`.
    pub async fn register(self, device: &NewDevice) -> Result<Device, HubError> {
        self.hub.ask(Call::new(Method::POST, "/devices").body(&json!(device))).await
    }

    /// This module's device of that name, with the state an earlier start left; registered if there is none.
    /// Needs `device.read` and `device.write`.
    ///
    /// # Errors
    /// Those of [`Devices::list`] and [`Devices::register`].
    pub async fn once(self, device: &NewDevice) -> Result<Device, HubError> {
        let own = |known: &Device| {
            known.module_id.as_deref().is_some_and(|owner| owner == self.hub.module_name() || owner == DEVELOPMENT)
                && known.name == device.name
                && known.kind == device.kind
        };
        match self.list().await?.into_iter().find(own) {
            Some(known) => Ok(known),
            None => self.register(device).await,
        }
    }

    /// `PATCH /devices/{id}/state`: replaces the whole state by a JSON object.
    ///
    /// # Errors
    /// 404; 403 `not_your_device` for another module's sensor.
    pub async fn set_state(self, id: DeviceId, state: Value) -> Result<Device, HubError> {
        let path = format!("/devices/{id}/state");
        self.hub.ask(Call::new(Method::PATCH, path).body(&json!({ "state": state }))).await
    }

    /// `GET /devices/{id}/history`: newest first, those set after `since` (Unix seconds) if given, at most `limit`.
    ///
    /// # Errors
    /// 404.
    pub async fn history(self, id: DeviceId, since: Option<f64>, limit: usize) -> Result<Vec<StateAt>, HubError> {
        #[derive(Deserialize)]
        struct Answer {
            history: Vec<StateAt>,
        }
        let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
        let path = format!("/devices/{id}/history?limit={limit}{since}");
        self.hub.ask::<Answer>(Call::new(Method::GET, path)).await.map(|answer| answer.history)
    }

    /// `DELETE /devices/{id}`: only this module's own.
    ///
    /// # Errors
    /// 404; 403 `not_your_device`.
    pub async fn delete(self, id: DeviceId) -> Result<(), HubError> {
        self.hub.tell(Call::new(Method::DELETE, format!("/devices/{id}"))).await
    }
}

impl Hub {
    /// [`Devices::once`]: this module's device of that name, found or registered.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn device_once(&self, device: &NewDevice) -> Result<Device, HubError> {
        self.devices().once(device).await
    }
}
