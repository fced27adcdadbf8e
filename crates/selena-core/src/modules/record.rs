//! What the store keeps of a module.

use jiff::Timestamp;
use selena_types::{ModuleName, ModulePort, ModuleState, ModuleType, RuntimeMode, TokenHash};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A module as it is installed.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleRecord {
    /// Its name.
    pub name: ModuleName,
    /// The installed version.
    pub version: Version,
    /// Its type.
    pub module_type: ModuleType,
    /// When it runs.
    pub runtime_mode: RuntimeMode,
    /// The text of its manifest.
    pub manifest: String,
    /// Whether the package has `main.py`, which decides the default runtime.
    pub has_main_py: bool,
    /// Where it stands.
    pub state: ModuleState,
    /// Why it cannot run, for people.
    pub error: Option<String>,
    /// Its port.
    pub port: Option<ModulePort>,
    /// User id its processes run as.
    pub uid: u32,
    /// Whether it is meant to run whenever its mode says so: not after a person stopped it.
    pub wanted: bool,
    /// Its webhook secret, sealed.
    pub webhook_secret: Vec<u8>,
    /// Hash of its current token.
    pub token: Option<TokenHash>,
    /// The rights it was granted: what an update asks for beyond them needs a person.
    pub granted: Value,
    /// When it was first installed.
    pub installed_at: Timestamp,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// What its trial saw.
    pub report: Option<TrialReport>,
    /// When it crashed in the last 10 minutes, oldest first.
    pub crashes: Vec<Timestamp>,
}

/// What the trial of a package saw (protocol, section 2, step 3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialReport {
    /// From the container's start to the first `GET /health` with 200, in milliseconds.
    pub time_to_ready_ms: Option<u64>,
    /// Most memory it used.
    pub peak_memory_bytes: Option<u64>,
    /// What it asked the hub for and was denied: audit records' event and detail.
    pub denied_calls: Vec<String>,
    /// TCP ports it listened on.
    pub open_ports: Vec<u16>,
}

impl ModuleRecord {
    /// The module as `GET /modules` lists it (protocol, section 11).
    #[must_use]
    pub fn summary(&self) -> Value {
        serde_json::json!({
            "name": self.name,
            "version": self.version,
            "type": self.module_type,
            "status": self.state,
            "runtime_mode": self.runtime_mode,
            "port": self.port,
            "installed_at": self.installed_at,
            "ui": self.manifest_field("ui"),
        })
    }

    /// The module as `GET /modules/{name}` shows it (protocol, section 5).
    #[must_use]
    pub fn details(&self) -> Value {
        let mut details = self.summary();
        details["error"] = serde_json::json!(self.error);
        details["started_at"] = serde_json::json!(self.started_at);
        details["permissions"] = self.manifest_field("permissions");
        details["report"] = serde_json::json!(self.report);
        details["publisher"] = Value::Null;
        details
    }

    /// The devices of the machine that its manifest names.
    #[must_use]
    pub(super) fn devices(&self) -> Vec<String> {
        serde_json::from_value(self.manifest_field("devices")).unwrap_or_default()
    }

    fn manifest_field(&self, field: &str) -> Value {
        serde_json::from_str::<Value>(&self.manifest)
            .ok()
            .and_then(|mut manifest| manifest.get_mut(field).map(Value::take))
            .unwrap_or(Value::Null)
    }
}
