//! What is known and what runs of one module.

use std::sync::{Arc, Mutex};

use selena_types::ModulePort;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    ModuleRecord,
    exits::ExitWatch,
    host_devices::{DeviceHold, DeviceRestarts},
    staging::Staged,
};
use crate::{
    Api,
    identity::ModuleRun,
    ports::{ModuleCalls, ServedListener},
};

/// One module. Whoever changes it holds `live`.
#[derive(Debug)]
pub(super) struct Slot {
    record: Mutex<ModuleRecord>,
    /// The port an update that waits for a person will have.
    waiting_port: Mutex<Option<ModulePort>>,
    /// The devices that such an update names.
    waiting_devices: Mutex<Vec<String>>,
    pub(super) live: tokio::sync::Mutex<Live>,
}

/// What runs of a module.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Its run.
    pub(super) active: Option<Active>,
    /// A start that waits for its back-off; cancelled if something else is decided.
    pub(super) retry: Option<CancellationToken>,
    /// An update that waits for a person.
    pub(super) waiting: Option<Staged>,
    /// Restarts for the sake of its devices, which a loose contact must not multiply.
    pub(super) device_restarts: DeviceRestarts,
    /// Whether a restart waits to give it a device.
    pub(super) device_wait: bool,
    /// Why it is started next, if it is not for the usual reasons.
    pub(super) start_reason: Option<String>,
    /// Whether it was removed while somebody waited for the lock.
    pub(super) removed: bool,
}

/// A run that is served.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) run: Arc<ModuleRun>,
    pub(super) served: Served,
    pub(super) exit: ExitWatch,
    /// The devices it was started with.
    pub(super) devices: DeviceHold,
    /// Ends its supervision.
    pub(super) supervision: CancellationToken,
    /// When it was last called, for modules that run on demand.
    pub(super) last_call: Instant,
}

/// The hub's listeners in a run's namespace.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) hub: Arc<dyn ServedListener>,
    /// Its way outside, if it was granted one.
    pub(super) egress: Option<Arc<dyn ServedListener>>,
}

impl Served {
    fn shut_down(&self) {
        [Some(&self.hub), self.egress.as_ref()].into_iter().flatten().for_each(|served| served.shut_down());
    }
}

impl Active {
    /// Ends what the hub holds of the run; the container is not touched.
    pub(super) fn detach(&self, api: &Api, calls: &dyn ModuleCalls) {
        self.supervision.cancel();
        self.run.end();
        api.subscriptions().end_run(&self.run);
        api.intents().forget(&self.run.name);
        self.served.shut_down();
        calls.forget(&self.run.run);
    }
}

impl Slot {
    pub(super) fn new(record: ModuleRecord) -> Self {
        Self {
            record: Mutex::new(record),
            waiting_port: Mutex::default(),
            waiting_devices: Mutex::default(),
            live: tokio::sync::Mutex::default(),
        }
    }

    /// The module as it was last stored.
    pub(super) fn record(&self) -> ModuleRecord {
        self.record.lock().expect("nothing panics while it holds a record").clone()
    }

    pub(super) fn waiting_port(&self) -> Option<ModulePort> {
        *self.waiting_port.lock().expect("nothing panics while it holds a port")
    }

    pub(super) fn set_waiting_port(&self, port: Option<ModulePort>) {
        *self.waiting_port.lock().expect("nothing panics while it holds a port") = port;
    }

    pub(super) fn waiting_devices(&self) -> Vec<String> {
        self.waiting_devices.lock().expect("nothing panics while it holds the devices").clone()
    }

    pub(super) fn set_waiting_devices(&self, devices: Vec<String>) {
        *self.waiting_devices.lock().expect("nothing panics while it holds the devices") = devices;
    }

    pub(super) fn set_record(&self, record: ModuleRecord) {
        *self.record.lock().expect("nothing panics while it holds a record") = record;
    }
}
