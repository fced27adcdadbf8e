//! Installed modules and their life (protocol, section 2).
//!
//! What a module is lies in the store; what runs of it lies in its [`slot::Slot`], whose lock serialises all that is done
//! to one module and never holds up another one.

mod command;
mod config;
mod consent;
mod exits;
mod health;
mod install;
mod launch;
mod lifecycle;
mod on_demand;
mod progress;
mod reconcile;
mod record;
mod remove;
mod schedule;
mod slot;
mod staging;
mod supervise;
mod trial;
mod update;

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use selena_types::{Manifest, ModuleName, ModuleState, ResourceLimits};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Api, ApiError,
    delivery::DeadLetter,
    ports::{EngineState, ListenerHost, ModuleCalls, PackageReader, Sandbox, Sealer, Store, StoreError},
    transact::{read, write},
};

pub use install::{Installed, Installing};
pub use progress::Progress;
pub use record::{ModuleRecord, TrialReport};
pub use staging::Upload;

use exits::Exits;
use progress::Progresses;
use slot::Slot;

/// How many modules are started at the same time.
const STARTS_AT_ONCE: usize = 4;

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
    /// ZIPs.
    pub packages: Arc<dyn PackageReader>,
    /// Secrets at rest.
    pub sealer: Arc<dyn Sealer>,
    /// Stores of trials.
    pub memory_store: MemoryStore,
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
    slots: Mutex<BTreeMap<ModuleName, Arc<Slot>>>,
    /// Names that are being installed, so that no second install of the same name begins.
    installing: Mutex<HashSet<ModuleName>>,
    progress: Progresses,
    exits: Exits,
    starts: Semaphore,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Modules {
    /// The modules that are in the store; none runs yet. See [`Modules::run`].
    ///
    /// # Errors
    /// If the store or the data directory cannot be read.
    pub async fn load(parts: ModulesParts) -> Result<Arc<Self>, ApiError> {
        let records = read(parts.api.store(), |rows| rows.modules()).await?;
        let slots = records.into_iter().map(at_start).map(|record| (record.name.clone(), Arc::new(Slot::new(record))));
        let slots = slots.collect();
        let modules = Arc::new(Self {
            parts,
            slots: Mutex::new(slots),
            installing: Mutex::default(),
            progress: Progresses::default(),
            exits: Exits::default(),
            starts: Semaphore::new(STARTS_AT_ONCE),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        modules.parts.api.set_modules(&modules);
        for record in modules.records() {
            if let Some(token) = record.token {
                modules.parts.api.identity().set_current(&record.name, token);
            }
        }
        modules.recover_files().await?;
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

    /// One module as `GET /modules/{name}` shows it, with what it did not receive.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn details(&self, name: &ModuleName) -> Result<Value, ApiError> {
        let mut details = self.record(name)?.details();
        let (dropped, dead) = self.parts.api.subscriptions().undelivered(name);
        let letter =
            |letter: DeadLetter| json!({ "event": *letter.event, "path": *letter.path, "reason": letter.reason });
        details["dropped_events"] = json!(dropped);
        details["dead_letters"] = dead.into_iter().map(letter).collect();
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
        staging::space(&self.parts.config.data_dir)
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

    /// Stores what a module is now, with an event about it, and shows it.
    async fn save(
        &self,
        slot: &Slot,
        record: ModuleRecord,
        event: Option<(&'static str, Value)>,
    ) -> Result<(), ApiError> {
        let stored = record.clone();
        write(self.parts.api.store(), move |tx| {
            tx.put_module(&stored)?;
            if let Some(token) = &stored.token {
                tx.put_token(token, &stored.name, jiff::Timestamp::now())?;
            }
            if let Some((event_type, payload)) = event {
                crate::api::append(tx, event_type, "core", payload)?;
            }
            Ok(())
        })
        .await?;
        self.progress.set(&record.name, Progress::of(&record));
        slot.set_record(record);
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
