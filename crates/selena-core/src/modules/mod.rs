//! Installed modules and their life (protocol, section 2).
//!
//! What a module is lies in the store; what runs of it lies in its [`slot::Slot`], whose lock serialises all that is done
//! to one module and never holds up another one.

mod aside;
mod backup;
mod claims;
mod command;
mod config;
mod consent;
mod crashes;
mod dependencies;
mod disk;
mod disk_use;
mod exits;
mod health;
mod host_devices;
mod image;
mod install;
mod launch;
mod lifecycle;
mod on_demand;
mod probation;
mod progress;
mod providers;
mod reconcile;
mod record;
mod recover;
mod remove;
mod rights;
mod room;
mod safe_mode;
mod schedule;
mod score;
mod seal_again;
mod signer;
mod slot;
mod staging;
mod supervise;
mod tidy;
mod trial;
mod update;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
};

use selena_signature::PublicKey;
use selena_types::{Manifest, ModuleName, ModuleState, ResourceLimits};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Api, ApiError, Publishers,
    disk_space::space,
    jobs::{self, Jobs},
    ports::{Dial, EngineState, ListenerHost, ModuleCalls, PackageReader, Sandbox, Sealer, Store, StoreError},
    transact::{read, write},
};

pub use backup::{
    BackupParts, BackupProgress, BackupRequest, BackupStatus, BackupStream, BackupTask, Identity, Intake, IntakeMode,
    Key, KeyError, Lock, Recipient, Restored, finish_hub_restore,
};
pub use crashes::CrashTime;
pub use install::{InstallOrder, Installed, Installing};
pub use progress::Progress;
pub use record::{LastUpdate, ModuleRecord, PreviousVersion, TrialReport};
pub use score::ScorePoint;
pub use staging::Upload;

use backup::Backups;
use claims::Claims;
use exits::Exits;
use host_devices::DeviceHolds;
use progress::Progresses;
use reconcile::Pass;
use slot::{Active, Live, Slot};

/// How many packages arrive and are unpacked at the same time; the next one waits.
const ARRIVALS_AT_ONCE: usize = 16;
/// How many modules are started at the same time, as long as they start quickly: see [`work`].
const STARTS_AT_ONCE: usize = 4;
/// How many packages are tried at the same time: as many as arrive, so that they never have to wait for one that hangs
/// unless that many do.
const TRIALS_AT_ONCE: usize = ARRIVALS_AT_ONCE;

/// How many leftovers are removed at the same time.
const CLEANUPS_AT_ONCE: usize = 4;

/// Makes an empty store in memory, for a trial.
pub type MemoryStore = Arc<dyn Fn() -> Result<Arc<dyn Store>, StoreError> + Send + Sync>;

/// What the operator decides about modules.
#[derive(Clone, Debug)]
pub struct ModulesConfig {
    /// Where packages, volumes and staging lie.
    pub data_dir: PathBuf,
    /// What one module gets at most.
    pub limits: ResourceLimits,
    /// The modules that may run; empty means all (protocol, section 12).
    pub enabled: Vec<ModuleName>,
    /// Settings of modules from the hub's own file.
    pub module_config: BTreeMap<ModuleName, Map<String, Value>>,
    /// The key whose signature a package of type `SYSTEM` needs (protocol, section 3); without one none is taken.
    pub vendor_key: Option<PublicKey>,
}

/// What the modules work with.
pub struct ModulesParts {
    /// The API they are offered.
    pub api: Arc<Api>,
    /// Containers and namespaces.
    pub sandbox: Arc<dyn Sandbox>,
    /// HTTP to modules.
    pub calls: Arc<dyn ModuleCalls>,
    /// HTTP from modules.
    pub listeners: Arc<dyn ListenerHost>,
    /// Connections outside, for modules that were granted egress.
    pub dial: Arc<dyn Dial>,
    /// ZIPs.
    pub packages: Arc<dyn PackageReader>,
    /// Secrets at rest.
    pub sealer: Arc<dyn Sealer>,
    /// Stores of trials.
    pub memory_store: MemoryStore,
    /// Copies of the database, the data of modules, and their tokens.
    pub backup: BackupParts,
    /// What the operator decides.
    pub config: ModulesConfig,
}

impl std::fmt::Debug for ModulesParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModulesParts").field("config", &self.config).finish_non_exhaustive()
    }
}

/// All modules of the hub.
#[derive(Debug)]
pub struct Modules {
    parts: ModulesParts,
    publishers: Publishers,
    slots: Mutex<BTreeMap<ModuleName, Arc<Slot>>>,
    claims: Mutex<Claims>,
    /// Modules of which the engine may hold more than it should: those that were there, or were tried, when the hub ended.
    untidy: Mutex<BTreeSet<ModuleName>>,
    /// Whether it was asked, since this start, of which modules the engine has images.
    images_seen: AtomicBool,
    /// Held while what runs is compared with what is stored.
    reconciling: tokio::sync::Mutex<()>,
    /// Held while images are removed.
    pruning: tokio::sync::Mutex<()>,
    progress: Progresses,
    /// Backups and restores.
    backups: Arc<Backups>,
    /// Cancelled when the hub has to start anew.
    restart: CancellationToken,
    exits: Exits,
    device_holds: Arc<DeviceHolds>,
    jobs: Arc<Jobs>,
    starts: Arc<Semaphore>,
    trials: Semaphore,
    /// Places for the removal of what is left over.
    cleanups: Semaphore,
    last_pass: Mutex<Option<Pass>>,
    /// What installs under way will still take of the disk, in bytes.
    reserved: AtomicU64,
    arrivals: Arc<Semaphore>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Modules {
    /// The modules that are in the store; none runs yet. See [`Modules::run`].
    ///
    /// # Errors
    /// If the store or the data directory cannot be read.
    pub async fn load(parts: ModulesParts) -> Result<Arc<Self>, ApiError> {
        let publishers = Publishers::load(parts.api.clone()).await?;
        let modules = Arc::new(Self {
            parts,
            publishers,
            slots: Mutex::default(),
            claims: Mutex::default(),
            untidy: Mutex::default(),
            images_seen: AtomicBool::new(false),
            reconciling: tokio::sync::Mutex::default(),
            pruning: tokio::sync::Mutex::default(),
            progress: Progresses::default(),
            backups: Arc::default(),
            restart: CancellationToken::new(),
            exits: Exits::default(),
            device_holds: Arc::default(),
            jobs: Arc::default(),
            starts: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
            trials: Semaphore::new(TRIALS_AT_ONCE),
            cleanups: Semaphore::new(CLEANUPS_AT_ONCE),
            last_pass: Mutex::default(),
            reserved: AtomicU64::new(0),
            arrivals: Arc::new(Semaphore::new(ARRIVALS_AT_ONCE)),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        modules.finish_restores().await?;
        let records = read(modules.parts.api.store(), |rows| rows.modules()).await?;
        let slots = records.into_iter().map(at_start).map(|record| (record.name.clone(), Arc::new(Slot::new(record))));
        modules.slots.lock().expect("nobody else has it yet").extend(slots);
        modules.parts.api.set_modules(&modules);
        for record in modules.records() {
            if let Some(token) = record.token {
                modules.parts.api.identity().set_current(&record.name, token);
            }
        }
        let tried = modules.recover_files().await?;
        let installed = modules.records().into_iter().map(|record| record.name);
        let untidy = tried.into_iter().chain(installed);
        modules.untidy.lock().expect("nobody else has it yet").extend(untidy);
        for slot in modules.all_slots() {
            let waiting = modules.read_waiting(&slot.record().name);
            slot.set_waiting_port(waiting.as_ref().and_then(|staged| staged.manifest.port));
            slot.set_waiting_devices(
                waiting.as_ref().map(|staged| staged.manifest.devices.clone()).unwrap_or_default(),
            );
            slot.live.lock().await.waiting = waiting;
        }
        Ok(modules)
    }

    /// Every module as it is now, by name.
    #[must_use]
    pub fn records(&self) -> Vec<ModuleRecord> {
        self.all_slots().iter().map(|slot| slot.record()).collect()
    }

    /// One module as it is now.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn record(&self, name: &ModuleName) -> Result<ModuleRecord, ApiError> {
        Ok(self.slot(name)?.record())
    }

    /// One module as `GET /modules/{name}` shows it, with what it did not receive; also one that is being tried before
    /// its first install, so that whoever was told `VALIDATING` finds it.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn details(&self, name: &ModuleName) -> Result<Value, ApiError> {
        let record = self.record(name).or_else(|error| self.first_install(name).ok_or(error))?;
        let mut details = record.details();
        details["publisher"] = self.publisher(record.signed_by.as_ref());
        let undelivered = self.parts.api.subscriptions().undelivered_of(name);
        details["dropped_events"] = json!(undelivered.dropped());
        details["dead_letters"] = json!(undelivered.dead_letters());
        details["devices"] = self.device_states(&record);
        Ok(details)
    }

    /// What the container engine does, in words.
    #[must_use]
    pub fn engine(&self) -> String {
        match &*self.parts.sandbox.engine().borrow() {
            EngineState::Unknown => "not asked yet".to_owned(),
            EngineState::Up => "up".to_owned(),
            EngineState::Down(why) => format!("down: {why}"),
        }
    }

    /// The data directory's space in bytes.
    #[must_use]
    pub fn storage(&self) -> Value {
        space(&self.parts.config.data_dir)
            .map_or(Value::Null, |(total, free)| json!({ "total_bytes": total, "free_bytes": free }))
    }

    fn all_slots(&self) -> Vec<Arc<Slot>> {
        self.slots.lock().expect("nothing panics while it holds the slots").values().cloned().collect()
    }

    fn slot(&self, name: &ModuleName) -> Result<Arc<Slot>, ApiError> {
        let slots = self.slots.lock().expect("nothing panics while it holds the slots");
        slots.get(name).cloned().ok_or(ApiError::NotFound("module"))
    }

    /// The manifest of a stored module.
    fn manifest(&self, record: &ModuleRecord) -> Result<Manifest, ApiError> {
        let core = &self.parts.api.info().version;
        let parsed = Manifest::parse(record.manifest.as_bytes(), core, &self.parts.config.limits)?;
        Ok(parsed.manifest)
    }

    /// Stores what a module is now, with events about it.
    async fn store(
        &self,
        slot: &Slot,
        record: ModuleRecord,
        events: Vec<(&'static str, Value)>,
    ) -> Result<(), ApiError> {
        let stored = record.clone();
        write(self.parts.api.store(), move |tx| {
            tx.put_module(&stored)?;
            if let Some(token) = &stored.token {
                tx.put_token(token, &stored.name, jiff::Timestamp::now())?;
            }
            for (event_type, payload) in events {
                crate::api::append(tx, event_type, "core", payload)?;
            }
            Ok(())
        })
        .await?;
        slot.set_record(record);
        Ok(())
    }

    /// Stores what a module is now, and shows it to those who follow it.
    async fn save(
        &self,
        slot: &Slot,
        record: ModuleRecord,
        events: Vec<(&'static str, Value)>,
    ) -> Result<(), ApiError> {
        self.store(slot, record.clone(), events).await?;
        self.progress.set(&record.name, Progress::of(&record));
        Ok(())
    }

    /// Stores that a run is up, and watches it from now on. If it cannot be stored, the run ends.
    async fn keep(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        active: Active,
        up: ModuleRecord,
        events: Vec<(&'static str, Value)>,
    ) -> Result<(), ApiError> {
        let stored = match jobs::commit_point() {
            Ok(()) => self.save(slot, up, events).await,
            Err(stopped) => Err(stopped),
        };
        if let Err(error) = stored {
            self.end_or_later(&active).await;
            return Err(error);
        }
        let name = active.run.name.clone();
        self.supervise(slot, live, active);
        self.start_dependents(&name);
        Ok(())
    }
}

/// A stored module as it is when the hub starts: nothing runs yet.
fn at_start(record: ModuleRecord) -> ModuleRecord {
    match record.state {
        ModuleState::Running => {
            ModuleRecord { state: ModuleState::Ready, error: Some("waits to be started".to_owned()), ..record }
        }
        _ => record,
    }
}

/// The payload of a `module.*` event (protocol, section 6).
fn about(record: &ModuleRecord, reason: Option<&str>) -> Value {
    let mut payload = json!({ "name": record.name, "version": record.version });
    if let Some(reason) = reason {
        payload["reason"] = json!(reason);
    }
    payload
}
