//! The store: rows that are durable once a write is answered.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use selena_types::{AuditRecord, Device, DeviceId, Event, EventType, ModuleName, StateAt, TokenHash};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::VaultCounters;
use crate::{modules::ModuleRecord, publishers::PublisherKey};

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No disk space is left.
    #[error("the disk is full: nothing was stored")]
    DiskFull,
    /// The job itself wanted its changes rolled back.
    #[error("the job rolled its changes back")]
    RolledBack,
    /// The store has stopped.
    #[error("the store has stopped")]
    Stopped,
    /// The database failed.
    #[error("the database failed while {attempted}")]
    Failed {
        /// What was attempted.
        attempted: &'static str,
        /// The database's own word.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What a device's row holds besides the device: nothing is known of it outside a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceChange {
    /// It was made or changed: this is it now.
    Put(Arc<Device>),
    /// It was deleted.
    Deleted(DeviceId),
}

/// What one commit changed, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Commit {
    /// An event was appended.
    Event(Arc<Event>),
    /// A device changed.
    Device(DeviceChange),
}

/// Told of what was committed, in the order of commits, before those who wrote it are answered.
/// Runs on the writer's thread: it must not block.
pub trait CommitObserver: Send + Sync + 'static {
    /// These changes are durable.
    fn committed(&self, changes: &[Commit]);
}

/// Which events are asked for.
pub struct EventQuery {
    /// Only those after this one.
    pub since_seq: i64,
    /// Most events of the page.
    pub limit: usize,
    /// Most bytes of payload of the page; the first event may be larger.
    pub max_bytes: usize,
    /// Most rows to look at.
    pub max_scan: i64,
    /// Whether an event of this type is wanted; others are not read further.
    pub wanted: Box<dyn Fn(&EventType) -> bool + Send>,
}

impl fmt::Debug for EventQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventQuery")
            .field("since_seq", &self.since_seq)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Some events, and where to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct EventPage {
    /// The events, in order.
    pub events: Vec<Event>,
    /// `since_seq` of the next page. The same as this page's if there is nothing more.
    pub next_since_seq: i64,
}

/// What the tables hold that grow, in bytes of their texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableBytes {
    /// The history of events.
    pub events: u64,
    /// The audit log.
    pub audit: u64,
    /// The histories of devices, by the name of the module they belong to; those of nobody under an empty name.
    pub device_histories: BTreeMap<String, u64>,
}

/// Reading rows.
pub trait Rows {
    /// All modules, by name.
    ///
    /// # Errors
    /// [`StoreError`], as with every method here.
    fn modules(&self) -> Result<Vec<ModuleRecord>, StoreError>;
    /// All devices, in the order they were registered.
    fn devices(&self) -> Result<Vec<Device>, StoreError>;
    /// How many devices a module has.
    fn device_count(&self, module: &ModuleName) -> Result<usize, StoreError>;
    /// One device.
    fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError>;
    /// The states a device had, newest first, those set after `since` (Unix seconds) if given, at most `limit`.
    fn history(&self, id: DeviceId, since: Option<f64>, limit: usize) -> Result<Vec<StateAt>, StoreError>;
    /// A page of events, in order.
    fn events_page(&self, query: &EventQuery) -> Result<EventPage, StoreError>;
    /// The newest `seq`, 0 if there is none.
    fn last_seq(&self) -> Result<i64, StoreError>;
    /// The module a token hash was given to, also if that module is gone.
    fn token_owner(&self, hash: &TokenHash) -> Result<Option<String>, StoreError>;
    /// Audit records, newest first, at most `limit`.
    fn audit(&self, limit: usize) -> Result<Vec<AuditRecord>, StoreError>;
    /// What people set of a module's settings.
    fn module_config(&self, module: &ModuleName) -> Result<Map<String, Value>, StoreError>;
    /// All keys of publishers, by id.
    fn publisher_keys(&self) -> Result<Vec<PublisherKey>, StoreError>;
    /// A setting of the hub itself.
    fn setting(&self, key: &str) -> Result<Option<String>, StoreError>;
    /// The versions of a secret in the vault.
    fn vault_counters(&self, module: &ModuleName, provider: &str) -> Result<VaultCounters, StoreError>;
    /// What the tables hold that grow, in bytes of their texts.
    fn table_bytes(&self) -> Result<TableBytes, StoreError>;
    /// All sign-ins at providers, sealed: module, provider, session.
    fn oauth_sessions(&self) -> Result<Vec<(ModuleName, String, Vec<u8>)>, StoreError>;
}

/// Writing rows, within one transaction.
pub trait Tx: Rows {
    /// Inserts or replaces a module.
    ///
    /// # Errors
    /// [`StoreError`], as with every method here.
    fn put_module(&mut self, module: &ModuleRecord) -> Result<(), StoreError>;
    /// Deletes a module with its settings. Its token hashes stay.
    fn delete_module(&mut self, name: &ModuleName) -> Result<(), StoreError>;
    /// Inserts or replaces a device; its state's history is not touched.
    fn put_device(&mut self, device: Device) -> Result<Arc<Device>, StoreError>;
    /// Sets a device's state and `last_seen` (Unix seconds), and appends to its history,
    /// of which the last 1,000 states and at most 4 MiB are kept.
    fn set_state(&mut self, device: Device, state: Map<String, Value>, at: f64) -> Result<Arc<Device>, StoreError>;
    /// Deletes all devices of a module with their history.
    fn delete_devices(&mut self, module: &ModuleName) -> Result<(), StoreError>;
    /// Deletes a device with its history.
    fn delete_device(&mut self, id: DeviceId) -> Result<(), StoreError>;
    /// Sets `module_id` of all devices of a module to none.
    fn orphan_devices(&mut self, module: &ModuleName) -> Result<(), StoreError>;
    /// Appends an event and gives it its `seq`.
    fn append_event(
        &mut self,
        id: Uuid,
        event_type: &EventType,
        source: &str,
        at: Timestamp,
        payload: Value,
    ) -> Result<Arc<Event>, StoreError>;
    /// Keeps a token's hash, for audit: the newest 16 of a module.
    fn put_token(&mut self, hash: &TokenHash, module: &ModuleName, at: Timestamp) -> Result<(), StoreError>;
    /// Appends an audit record; an equal one within the same minute is counted instead.
    fn append_audit(&mut self, record: &AuditRecord) -> Result<(), StoreError>;
    /// Sets one of a module's settings.
    fn put_module_config(&mut self, module: &ModuleName, key: &str, value: &Value) -> Result<(), StoreError>;
    /// Inserts or replaces a publisher's key.
    fn put_publisher_key(&mut self, key: &PublisherKey) -> Result<(), StoreError>;
    /// Sets a setting of the hub itself.
    fn put_setting(&mut self, key: &str, value: &str) -> Result<(), StoreError>;
    /// Sets the versions of a secret in the vault. They stay when the secret and its module go.
    fn put_vault_counters(
        &mut self,
        module: &ModuleName,
        provider: &str,
        counters: VaultCounters,
    ) -> Result<(), StoreError>;
    /// Raises the versions of all secrets of a module, so that no file that was ever written is accepted any more.
    fn outdate_vault_counters(&mut self, module: &ModuleName) -> Result<(), StoreError>;
    /// Inserts or replaces a module's sign-in at a provider.
    fn put_oauth_session(&mut self, module: &ModuleName, provider: &str, sealed: &[u8]) -> Result<(), StoreError>;
    /// Deletes a module's sign-in at a provider.
    fn delete_oauth_session(&mut self, module: &ModuleName, provider: &str) -> Result<(), StoreError>;
}

/// What is done within a transaction.
pub type Work = Box<dyn FnOnce(&mut dyn Tx) -> Result<(), StoreError> + Send>;

/// Who is told how it ended.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Work within one transaction of the writer. What it returns decides: an error rolls back this job alone.
/// The second half is called once, after the commit is durable or has failed.
pub struct Job {
    /// Runs on the writer's thread.
    pub run: Work,
    /// Called with the outcome.
    pub done: Done,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

/// Work on a reader's thread.
pub type ReadJob = Box<dyn FnOnce(Result<&dyn Rows, StoreError>) + Send>;

/// A store: one writer with group commit, and readers.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Queues a write. Jobs run one after the other, in the order they were queued.
    fn write(&self, job: Job);

    /// Queues a read.
    fn read(&self, job: ReadJob);

    /// Who is told of commits. Set once, before the first write.
    fn observe(&self, observer: Arc<dyn CommitObserver>);
}
