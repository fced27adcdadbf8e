//! Devices as people see them.

use selena_types::ModuleName;
use serde_json::{Value, json};

use super::{
    super::{ModuleRecord, Modules},
    leases::{Share, is_same},
};
use crate::ports::{HostDeviceKind, HostDevices};

impl Modules {
    /// The devices of a module, for `GET /modules/{name}`: `[{"path","state","detail"}]`.
    pub(in super::super) fn device_states(&self, record: &ModuleRecord) -> Value {
        let name = &record.name;
        let shown = self.shares(record).into_iter().map(|(path, share)| {
            let (state, detail) = match share {
                Share::Given(numbers) if !self.device_holds.has(name, &numbers) => {
                    ("present", Some("it is given to the module at its next start".to_owned()))
                }
                Share::Given(_) => ("present", None),
                Share::Missing => ("missing", Some("it is not plugged in".to_owned())),
                Share::Taken(holder) => ("taken", Some(format!("it is the device of module `{holder}`"))),
                Share::Refused(refusal) => ("refused", Some(format!("{}: {}", refusal.code, refusal.detail))),
            };
            json!({ "path": path, "state": state, "detail": detail })
        });
        shown.collect()
    }

    /// All devices that a module could be given, and those that modules wait for: `GET /system/devices`.
    #[must_use]
    pub fn host_devices(&self) -> Value {
        let there = self.plugged_in();
        let there_now = there.iter().map(|(path, device)| {
            let (state, detail) = match &device.numbers {
                Ok(_) => ("present", None),
                Err(refusal) => ("refused", Some(format!("{}: {}", refusal.code, refusal.detail))),
            };
            let module = self.lease_holder(path, &there);
            json!({ "path": path, "kind": device.kind.as_str(), "state": state, "module": module, "detail": detail })
        });
        let missing = self.leases().into_iter().filter(|lease| !there.contains_key(&lease.path)).map(|lease| {
            let kind = HostDeviceKind::of_path(&lease.path).map(HostDeviceKind::as_str);
            json!({ "path": lease.path, "kind": kind, "state": "missing", "module": lease.module, "detail": null })
        });
        json!({ "devices": there_now.chain(missing).collect::<Vec<_>>() })
    }

    /// The module that a path's device belongs to.
    pub(super) fn lease_holder(&self, path: &str, there: &HostDevices) -> Option<ModuleName> {
        let leases = self.leases();
        let same = leases.into_iter().filter(|lease| is_same(&lease.path, path, there));
        same.min_by(|a, b| (a.since, &a.module).cmp(&(b.since, &b.module))).map(|lease| lease.module)
    }
}
