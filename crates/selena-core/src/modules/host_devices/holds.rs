//! Which running container has which device: at most one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use selena_types::ModuleName;
use tokio::sync::Notify;

use super::{super::ModuleRecord, super::Modules, leases::Share};
use crate::ports::{DeviceGrant, DeviceNumber};

/// The devices that are in containers now.
#[derive(Debug, Default)]
pub(in super::super) struct DeviceHolds {
    held: Mutex<BTreeMap<DeviceNumber, ModuleName>>,
    freed: Notify,
}

impl DeviceHolds {
    /// Takes the devices that no other module's container has.
    fn take(self: &Arc<Self>, module: &ModuleName, wanted: Vec<DeviceGrant>) -> DeviceHold {
        let mut held = self.held.lock().expect("nothing panics while it holds the devices");
        let free = |grant: &DeviceGrant| {
            grant.numbers.iter().all(|number| held.get(number).is_none_or(|holder| holder == module))
        };
        let grants: Vec<_> = wanted.into_iter().filter(free).collect();
        let numbers = grants.iter().flat_map(|grant| &grant.numbers);
        held.extend(numbers.map(|number| (*number, module.clone())));
        DeviceHold { grants, holds: Some(self.clone()) }
    }

    /// The module whose container has one of these devices, if it is another one.
    fn other(&self, module: &ModuleName, numbers: &[DeviceNumber]) -> Option<ModuleName> {
        let held = self.held.lock().expect("nothing panics while it holds the devices");
        numbers.iter().find_map(|number| held.get(number).filter(|holder| *holder != module).cloned())
    }

    /// Whether these devices are in the module's container.
    pub(super) fn has(&self, module: &ModuleName, numbers: &[DeviceNumber]) -> bool {
        let held = self.held.lock().expect("nothing panics while it holds the devices");
        numbers.iter().all(|number| held.get(number) == Some(module))
    }

    /// Says that a module may get what it did not get before.
    pub(in super::super) fn look_again(&self) {
        self.freed.notify_one();
    }

    /// Comes back when a container let go of its devices, or a module of its rights to them.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }
}

/// The devices of one run; free again when this is dropped.
#[derive(Debug, Default)]
pub(in super::super) struct DeviceHold {
    grants: Vec<DeviceGrant>,
    holds: Option<Arc<DeviceHolds>>,
}

impl DeviceHold {
    /// What the container is given.
    pub(in super::super) fn grants(&self) -> &[DeviceGrant] {
        &self.grants
    }
}

impl Drop for DeviceHold {
    fn drop(&mut self) {
        let Some(holds) = self.holds.take().filter(|_| !self.grants.is_empty()) else { return };
        let mut held = holds.held.lock().expect("nothing panics while it holds the devices");
        for number in self.grants.iter().flat_map(|grant| &grant.numbers) {
            held.remove(number);
        }
        drop(held);
        holds.look_again();
    }
}

impl Modules {
    /// What a module gets of each device that its manifest names.
    pub(super) fn shares(&self, record: &ModuleRecord) -> Vec<(String, Share)> {
        let paths = record.devices();
        if paths.is_empty() {
            return Vec::new();
        }
        let (there, leases) = (self.plugged_in(), self.leases());
        let share = |path: String| {
            let share = match super::leases::share(&record.name, &path, &leases, &there) {
                // Its holder is about to be told to let go of it.
                Share::Given(numbers) => match self.device_holds.other(&record.name, &numbers) {
                    Some(holder) => Share::Taken(holder),
                    None => Share::Given(numbers),
                },
                other => other,
            };
            (path, share)
        };
        paths.into_iter().map(share).collect()
    }

    /// Whether one of its devices is not there for it now.
    pub(in super::super) fn lacks_devices(&self, record: &ModuleRecord) -> bool {
        self.due_devices(record).len() < record.devices().len()
    }

    /// The devices that a module's container is to have now: those that a person granted, and that are there for it.
    pub(super) fn due_devices(&self, record: &ModuleRecord) -> Vec<DeviceGrant> {
        let granted = |path: &str| {
            let granted = record.granted["devices"].as_array();
            granted.is_some_and(|granted| granted.iter().any(|one| one == path))
        };
        let due = self.shares(record).into_iter().filter_map(|(path, share)| match share {
            Share::Given(numbers) if granted(&path) => Some(DeviceGrant { path, numbers }),
            _ => None,
        });
        due.collect()
    }

    /// Takes the devices for a start of a module. What it does not get is told.
    pub(in super::super) fn take_devices(&self, record: &ModuleRecord) -> DeviceHold {
        for (path, share) in self.shares(record) {
            let (event, why) = match share {
                Share::Given(_) => continue,
                Share::Missing => {
                    tracing::warn!(module = %record.name, path, "started without a device that is not plugged in");
                    continue;
                }
                Share::Taken(holder) => ("device_taken", format!("`{path}` is the device of module `{holder}`")),
                Share::Refused(refusal) => ("device_refused", format!("{}: {}", refusal.code, refusal.detail)),
            };
            tracing::warn!(module = %record.name, path, why, "started without a device");
            self.parts.api.record(event, record.name.as_str(), &why);
        }
        self.device_holds.take(&record.name, self.due_devices(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(path: &str, minor: u64) -> DeviceGrant {
        DeviceGrant { path: path.to_owned(), numbers: vec![DeviceNumber { major: 188, minor }] }
    }

    #[tokio::test]
    async fn a_device_is_in_one_container_until_that_lets_go() {
        let holds = Arc::new(DeviceHolds::default());
        let (one, two): (ModuleName, ModuleName) = ("m1".parse().expect("a name"), "m2".parse().expect("a name"));
        let first = holds.take(&one, vec![grant("/dev/serial/by-id/a", 0)]);
        let second = holds.take(&two, vec![grant("/dev/serial/by-path/a", 0), grant("/dev/serial/by-id/b", 1)]);
        assert_eq!(second.grants(), [grant("/dev/serial/by-id/b", 1)]);
        drop(first);
        holds.freed().await;
        assert_eq!(holds.take(&two, vec![grant("/dev/serial/by-path/a", 0)]).grants().len(), 1);
    }
}
