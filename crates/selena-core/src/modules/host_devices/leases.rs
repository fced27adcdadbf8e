//! Which module a device belongs to.

use jiff::Timestamp;
use selena_types::{ModuleName, ModuleState};

use super::super::Modules;
use crate::{
    ApiError,
    ports::{DeviceNumber, DeviceRefusal, HostDevices},
};

/// A module's right to a path, for as long as the module is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) module: ModuleName,
    pub(super) since: Timestamp,
    pub(super) path: String,
}

/// What a module gets of a path that its manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// The device.
    Given(Vec<DeviceNumber>),
    /// Nothing: it is not plugged in.
    Missing,
    /// Nothing: by another path it is the device of a module that was installed before.
    Taken(ModuleName),
    /// Nothing: what is there is given to no module.
    Refused(DeviceRefusal),
}

fn numbers<'a>(path: &str, there: &'a HostDevices) -> &'a [DeviceNumber] {
    there.get(path).and_then(|device| device.numbers.as_deref().ok()).unwrap_or_default()
}

/// Whether two paths are, or lead to, the same device.
pub(super) fn is_same(one: &str, other: &str, there: &HostDevices) -> bool {
    one == other || numbers(one, there).iter().any(|number| numbers(other, there).contains(number))
}

/// What a module gets of a path. Of two whose paths lead to the same device, the one that was installed first has it:
/// so it is the same one after every start of the hub.
pub(super) fn share(module: &ModuleName, path: &str, leases: &[Lease], there: &HostDevices) -> Share {
    let numbers = match there.get(path).map(|device| &device.numbers) {
        None => return Share::Missing,
        Some(Err(refusal)) => return Share::Refused(refusal.clone()),
        Some(Ok(numbers)) => numbers.clone(),
    };
    let same = leases.iter().filter(|lease| is_same(&lease.path, path, there));
    match same.min_by_key(|lease| (lease.since, &lease.module)) {
        Some(first) if first.module != *module => Share::Taken(first.module.clone()),
        _ => Share::Given(numbers),
    }
}

impl Modules {
    /// What is plugged in now.
    pub(in super::super) fn plugged_in(&self) -> std::sync::Arc<HostDevices> {
        self.parts.sandbox.devices().borrow().clone()
    }

    /// Every right there is, those of updates that wait for a person too.
    pub(super) fn leases(&self) -> Vec<Lease> {
        let mut leases = Vec::new();
        for slot in self.all_slots() {
            let record = slot.record();
            if record.state == ModuleState::Removed {
                continue;
            }
            // The version before one that is on probation may come back.
            let before = record.previous.as_ref().filter(|_| record.on_probation);
            let before = before.map(|previous| previous.clone().restored(record.clone()).devices());
            let paths = record.devices().into_iter().chain(slot.waiting_devices()).chain(before.unwrap_or_default());
            let lease = |path| Lease { module: record.name.clone(), since: record.installed_at, path };
            leases.extend(paths.map(lease));
        }
        leases
    }

    /// Refuses devices that are another module's, or can be no module's at all.
    ///
    /// # Errors
    /// 422 `manifest_device`.
    pub(in super::super) fn check_devices<'a>(
        &self,
        name: &ModuleName,
        devices: &[String],
        under_way: impl IntoIterator<Item = (&'a ModuleName, &'a String)>,
    ) -> Result<(), ApiError> {
        if devices.is_empty() {
            return Ok(());
        }
        let there = self.plugged_in();
        let leased = self.leases().into_iter().map(|lease| (lease.module, lease.path));
        let under_way = under_way.into_iter().map(|(other, path)| (other.clone(), path.clone()));
        let taken: Vec<_> = leased.chain(under_way).filter(|(other, _)| other != name).collect();
        for path in devices {
            if let Some(Err(refusal)) = there.get(path).map(|device| &device.numbers)
                && refusal.code == "manifest_device"
            {
                return Err(ApiError::Unprocessable { code: refusal.code.to_owned(), detail: refusal.detail.clone() });
            }
            if let Some((holder, its_path)) = taken.iter().find(|(_, other)| is_same(path, other, &there)) {
                let named = if path == its_path { String::new() } else { format!(", as `{its_path}`") };
                let detail = format!(
                    "`{path}` belongs to module `{holder}` already{named}: a device goes to one module, so remove that \
                     one first"
                );
                return Err(ApiError::Unprocessable { code: "manifest_device".to_owned(), detail });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{HostDevice, HostDeviceKind};

    const ID: &str = "/dev/serial/by-id/stick";
    const PATH: &str = "/dev/serial/by-path/port1";

    fn name(text: &str) -> ModuleName {
        text.parse().expect("a name")
    }

    fn lease(module: &str, since: i64, path: &str) -> Lease {
        let since = Timestamp::from_second(since).expect("a time");
        Lease { module: name(module), since, path: path.to_owned() }
    }

    fn plugged(devices: &[(&str, u64)]) -> HostDevices {
        let device = |(path, minor): &(&str, u64)| {
            let numbers = Ok(vec![DeviceNumber { major: 188, minor: *minor }]);
            ((*path).to_owned(), HostDevice { kind: HostDeviceKind::Serial, numbers })
        };
        devices.iter().map(device).collect()
    }

    #[test]
    fn of_two_paths_to_one_device_the_module_installed_first_has_it() {
        let leases = [lease("late", 2, ID), lease("early", 1, PATH)];
        let both = plugged(&[(ID, 0), (PATH, 0)]);
        assert_eq!(share(&name("late"), ID, &leases, &both), Share::Taken(name("early")));
        assert!(matches!(share(&name("early"), PATH, &leases, &both), Share::Given(_)));
        let apart = plugged(&[(ID, 0), (PATH, 1)]);
        assert!(matches!(share(&name("late"), ID, &leases, &apart), Share::Given(_)), "they are two devices now");
    }

    #[test]
    fn what_is_not_there_or_refused_is_told_apart() {
        let leases = [lease("m1", 1, ID)];
        assert_eq!(share(&name("m1"), ID, &leases, &HostDevices::new()), Share::Missing);
        let refusal = DeviceRefusal { code: "device_access", detail: "root only".to_owned() };
        let device = HostDevice { kind: HostDeviceKind::Serial, numbers: Err(refusal.clone()) };
        let there = HostDevices::from([(ID.to_owned(), device)]);
        assert_eq!(share(&name("m1"), ID, &leases, &there), Share::Refused(refusal));
    }

    #[test]
    fn a_module_may_name_one_device_twice() {
        let leases = [lease("m1", 1, ID), lease("m1", 1, PATH)];
        let both = plugged(&[(ID, 0), (PATH, 0)]);
        for path in [ID, PATH] {
            assert!(matches!(share(&name("m1"), path, &leases, &both), Share::Given(_)), "{path}");
        }
    }
}
