//! Devices as modules and people see them (protocol, section 5).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{ModuleName, Problems, fields::Object, module::words};

/// Id of a device: a UUID, given by the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub struct DeviceId(pub Uuid);

impl DeviceId {
    /// A new random id.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeviceId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

words! {
    /// What a device is (protocol, section 5).
    DeviceKind {
        /// It measures; only its module sets its state.
        Sensor = "sensor",
        /// It acts.
        Actuator = "actuator",
        /// It controls other devices.
        Controller = "controller",
        /// It has no hardware.
        Virtual = "virtual",
    }
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its id.
    pub device_id: DeviceId,
    /// What people call it, 1 to 255 characters.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: DeviceKind,
    /// How it is reached, 1 to 50 characters.
    pub protocol: String,
    /// Its state; replaced as a whole.
    pub state: Map<String, Value>,
    /// What it can do.
    pub capabilities: Vec<Value>,
    /// When its state was last set: Unix seconds, or `None` if never.
    pub last_seen: Option<f64>,
    /// The module that registered it; `None` after that module was removed.
    #[serde(deserialize_with = "owner")]
    pub module_id: Option<ModuleName>,
    /// What its module says about it.
    pub meta: Map<String, Value>,
}

/// The development token's devices bear a name that no package can have.
fn owner<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<ModuleName>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    match text {
        Some(text) if text == ModuleName::development().as_str() => Ok(Some(ModuleName::development())),
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
        None => Ok(None),
    }
}

/// A state a device had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateAt {
    /// The state.
    pub state: Map<String, Value>,
    /// When it was set: Unix seconds.
    pub timestamp: f64,
}

/// A device to register: the checked body of `POST /devices`.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDevice {
    /// 1 to 255 characters.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// 1 to 50 characters.
    pub protocol: String,
    /// What it can do.
    pub capabilities: Vec<Value>,
    /// What its module says about it.
    pub meta: Map<String, Value>,
}

impl NewDevice {
    /// Checks the body of `POST /devices` (protocol, section 5); unknown fields are ignored.
    ///
    /// # Errors
    /// Every problem found.
    pub fn parse(body: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut object = Object::body(body, &mut problems);
        let name = object.text("name", 1..=255);
        let kind = object.word("type", DeviceKind::ALL, DeviceKind::as_str);
        let protocol = object.text("protocol", 1..=50);
        let capabilities = object.optional_list("capabilities").unwrap_or_default();
        let meta = object.optional_map("meta").unwrap_or_default();
        match (name, kind, protocol) {
            (Some(name), Some(kind), Some(protocol)) if problems.is_empty() => {
                Ok(Self { name, kind, protocol, capabilities, meta })
            }
            _ => Err(problems),
        }
    }
}
