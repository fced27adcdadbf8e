//! What the store keeps of a module.

use jiff::Timestamp;
use selena_signature::KeyId;
use selena_types::{ModuleName, ModulePort, ModuleState, ModuleType, RuntimeMode, TokenHash};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CrashTime, ScorePoint};
use crate::identity::DeniedSyscall;

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
    /// The key that signed the package, unless nobody did.
    pub signed_by: Option<KeyId>,
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
    pub crashes: Vec<CrashTime>,
    /// The version before, if one is kept: see [`crate::Modules::roll_back`].
    pub previous: Option<PreviousVersion>,
    /// Whether it was updated and did not run for a minute since.
    pub on_probation: bool,
    /// The last update, done or undone.
    pub last_update: Option<LastUpdate>,
}

/// What the store keeps of the version before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreviousVersion {
    pub version: Version,
    pub runtime_mode: RuntimeMode,
    pub manifest: String,
    pub has_main_py: bool,
    pub port: Option<ModulePort>,
    pub granted: Value,
    pub report: Option<TrialReport>,
    #[serde(default)]
    pub signed_by: Option<KeyId>,
}

impl PreviousVersion {
    /// What is kept of a version.
    #[must_use]
    pub fn of(record: &ModuleRecord) -> Self {
        Self {
            version: record.version.clone(),
            runtime_mode: record.runtime_mode,
            manifest: record.manifest.clone(),
            has_main_py: record.has_main_py,
            port: record.port,
            granted: record.granted.clone(),
            report: record.report.clone(),
            signed_by: record.signed_by.clone(),
        }
    }

    /// The module as it was in this version; what does not depend on the version is as it is now.
    pub(super) fn restored(self, now: ModuleRecord) -> ModuleRecord {
        ModuleRecord {
            version: self.version,
            runtime_mode: self.runtime_mode,
            manifest: self.manifest,
            has_main_py: self.has_main_py,
            port: self.port,
            granted: self.granted,
            report: self.report,
            signed_by: self.signed_by,
            ..now
        }
    }
}

/// How the last update of a module went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastUpdate {
    /// The version that ran.
    pub from: Version,
    /// The version that runs since; the same one if the update was undone.
    pub to: Version,
    /// When.
    pub at: Timestamp,
    /// Why it was undone or rolled back, for people; none after an update that went well.
    pub reason: Option<String>,
}

/// What the trial of a package saw (protocol, section 2, step 3). `None` is unknown. Fields only come to it, so that a
/// stored report is read by the version before too.
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
    /// Most processes and threads at one time, by the kernel's count for the whole container: with the init, and with
    /// what starts a container.
    #[serde(default)]
    pub peak_processes: Option<u64>,
    /// The programs that ran at the trial's end, the init apart, by their paths in the container.
    #[serde(default)]
    pub programs: Option<Vec<String>>,
    /// System calls it attempted of those that are denied and watched for.
    #[serde(default)]
    pub denied_syscalls: Option<Vec<DeniedSyscall>>,
    /// How many of the points it has, and at least 1. Reports of earlier versions have none.
    #[serde(default)]
    pub score: Option<u8>,
    /// The points, in their order.
    #[serde(default)]
    pub points: Vec<ScorePoint>,
}

impl ModuleRecord {
    /// The module as `GET /modules` lists it: the very fields of section 11, which are older clients' and of which nobody
    /// knows how strictly those read them. So that a module is unsigned is not here: `GET /modules/{name}` and
    /// `GET /publishers` say it, from which `selenactl module list` has its column.
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

    /// The module as `GET /modules/{name}` shows it (protocol, section 5), but for what only others know of it.
    #[must_use]
    pub fn details(&self) -> Value {
        let mut details = self.summary();
        details["error"] = serde_json::json!(self.error);
        details["started_at"] = serde_json::json!(self.started_at);
        details["permissions"] = self.manifest_field("permissions");
        details["report"] = serde_json::json!(self.report);
        details["previous_version"] = serde_json::json!(self.previous.as_ref().map(|previous| &previous.version));
        details["last_update"] = serde_json::json!(self.last_update);
        details
    }

    /// The versions whose images the engine keeps: the one that is installed, and the one it can go back to.
    pub(super) fn kept_versions(&self) -> Vec<Version> {
        let previous = self.previous.as_ref().map(|previous| previous.version.clone());
        [self.version.clone()].into_iter().chain(previous).collect()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A report as the version before the score wrote and reads it.
    #[derive(Debug, PartialEq, Deserialize)]
    struct Before {
        time_to_ready_ms: Option<u64>,
        peak_memory_bytes: Option<u64>,
        denied_calls: Vec<String>,
        open_ports: Vec<u16>,
    }

    #[test]
    fn a_report_is_read_by_the_version_before_and_the_one_of_before_by_this() {
        let old =
            json!({ "time_to_ready_ms": 5, "peak_memory_bytes": null, "denied_calls": ["x"], "open_ports": [8100] });
        let read: TrialReport = serde_json::from_value(old.clone()).expect("a report");
        assert_eq!((read.score, &read.denied_syscalls, &read.points), (None, &None, &Vec::new()));
        let scored = TrialReport { score: Some(3), denied_syscalls: Some(Vec::new()), ..read };
        let back: Before = serde_json::from_value(json!(scored)).expect("a report");
        assert_eq!(back, serde_json::from_value(old).expect("a report"));
    }
}
