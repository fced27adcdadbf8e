//! The module API: what both wires offer, behind one door (protocol, sections 5 and 6).

mod devices;
mod events;
mod integrity;
mod maintenance;
mod secrets;

pub use events::may_see;

use std::{
    sync::{Arc, Mutex, OnceLock, Weak},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use selena_types::{AuditRecord, Event, EventType, ModuleName, Secret};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    ApiError,
    access::Operation,
    audit::Audit,
    devices::Devices,
    hub_events::PUBLISHED,
    identity::{Caller, Credentials, Identity, Origin, RequestLimits},
    integrity::Integrity,
    intents::Intents,
    modules::Modules,
    ports::{Commit, CommitObserver, DeviceChange, ModuleCalls, Store, Tx},
    presence::{Change, Presence},
    secrets::{OAuth, Secrets},
    subscriptions::Subscriptions,
    transact::{read, write},
};

/// Most events or states of one answer.
pub const MAX_PAGE: usize = 1000;

/// What the hub says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubInfo {
    /// Version of the core.
    pub version: semver::Version,
    /// Commit it was built from, or `unknown`.
    pub commit: String,
    /// When it was built, ISO 8601, or `unknown`.
    pub build_time: String,
    /// The machine: cores, memory, architecture, model.
    pub hardware: Value,
    /// The system and its slot.
    pub os: Value,
}

/// The API. One for the hub; one more, with an empty store in memory, for each trial of a package.
#[derive(Debug)]
pub struct Api {
    info: HubInfo,
    started: Instant,
    store: Arc<dyn Store>,
    devices: Arc<Devices>,
    subscriptions: Arc<Subscriptions>,
    identity: Identity,
    audit: Audit,
    intents: Intents,
    presence: Arc<Presence>,
    presence_changes: Mutex<Option<mpsc::UnboundedReceiver<Change>>>,
    integrity: Integrity,
    modules: OnceLock<Weak<Modules>>,
    secrets: OnceLock<Arc<Secrets>>,
    oauth: OnceLock<Arc<OAuth>>,
}

/// What is special about a development hub (protocol, section 12).
#[derive(Debug, Default)]
pub struct Development {
    /// The development token.
    pub token: Option<Secret>,
    /// The key its webhooks are signed with.
    pub webhook_secret: Option<Secret>,
}

/// Keeps what is in memory equal to what was committed.
#[derive(Debug)]
struct Observer {
    devices: Arc<Devices>,
    presence: Arc<Presence>,
    subscriptions: Arc<Subscriptions>,
}

impl CommitObserver for Observer {
    fn committed(&self, changes: &[Commit]) {
        for change in changes {
            match change {
                Commit::Device(change) => {
                    self.devices.apply(change);
                    match change {
                        DeviceChange::Put(device) => self.presence.seen(device),
                        DeviceChange::Deleted(id) => self.presence.forget(*id),
                    }
                }
                Commit::Event(event) => self.subscriptions.dispatch(event),
            }
        }
    }
}

impl Api {
    /// An API over a store, with all its devices loaded.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn new(
        info: HubInfo,
        store: Arc<dyn Store>,
        calls: Arc<dyn ModuleCalls>,
        development: Development,
        limits: RequestLimits,
    ) -> Result<Self, ApiError> {
        let identity = Identity::new(development.token.as_ref(), limits);
        let devices = Arc::new(Devices::default());
        let subscriptions = Arc::new(Subscriptions::new(calls, development.webhook_secret.map(Arc::new)));
        let (presence, presence_changes) = Presence::new();
        let presence = Arc::new(presence);
        for device in read(&store, |rows| rows.devices()).await? {
            presence.seen(&device);
            devices.apply(&DeviceChange::Put(Arc::new(device)));
        }
        let observer =
            Observer { devices: devices.clone(), presence: presence.clone(), subscriptions: subscriptions.clone() };
        store.observe(Arc::new(observer));
        let audit = Audit::new(store.clone());
        Ok(Self {
            info,
            started: Instant::now(),
            store,
            devices,
            subscriptions,
            identity,
            audit,
            intents: Intents::default(),
            presence,
            presence_changes: Mutex::new(Some(presence_changes)),
            integrity: Integrity::default(),
            modules: OnceLock::new(),
            secrets: OnceLock::new(),
            oauth: OnceLock::new(),
        })
    }

    /// Finds out who asks, and whether it may.
    ///
    /// # Errors
    /// [`ApiError`] with what is missing; the refusal is recorded.
    pub fn authorize(
        &self,
        origin: &Origin,
        credentials: Credentials<'_>,
        operation: Operation,
    ) -> Result<Caller, ApiError> {
        let outcome = match self.identity.authenticate(origin, credentials) {
            // Where no token is needed, one that is no longer valid does no harm.
            Err(ApiError::Unauthenticated) if operation.rule().public => return Ok(Caller::Anonymous),
            Ok(caller) => operation.check(&caller).map(|()| caller.clone()).map_err(|error| (error, Some(caller))),
            Err(error) if operation == Operation::Health => Err((origin.refused_health(error), None)),
            Err(error) => Err((error, None)),
        };
        outcome.map_err(|(error, caller)| {
            let subject = caller.as_ref().map_or_else(|| origin.listener(), |caller| caller.subject().to_owned());
            self.refused(&error, &subject, &format!("{operation:?}"));
            error
        })
    }

    /// Records that something was refused.
    pub fn refused(&self, error: &ApiError, subject: &str, what: &str) {
        let detail = match error {
            ApiError::PermissionMissing(permission) => format!("{what} needs {permission}"),
            _ => what.to_owned(),
        };
        self.audit.record(error.code(), subject, &detail);
    }

    /// Records that a request was refused, by the code of its answer.
    pub fn refused_with(&self, code: &str, subject: &str, what: &str) {
        self.audit.record(code, subject, what);
    }

    /// Records that something was done.
    pub(crate) fn record(&self, event: &str, subject: &str, detail: &str) {
        self.audit.record(event, subject, detail);
    }

    /// Writes the counts of the audit log that are still in memory.
    pub fn flush_audit(&self) {
        self.audit.flush();
        if let Some(oauth) = self.oauth() {
            oauth.flush_audit();
        }
    }

    pub(crate) fn set_modules(&self, modules: &Arc<Modules>) {
        self.modules.set(Arc::downgrade(modules)).expect("the modules are set once, at start");
    }

    /// The installed modules.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] in a trial.
    pub fn modules(&self) -> Result<Arc<Modules>, ApiError> {
        self.modules.get().and_then(Weak::upgrade).ok_or(ApiError::Unavailable("module management"))
    }

    /// What the hub says about itself.
    pub fn info(&self) -> &HubInfo {
        &self.info
    }

    /// `GET /modules/{name}/config`. In a trial a module's settings are empty.
    ///
    /// # Errors
    /// As [`Modules::config`].
    pub async fn module_config(&self, caller: &Caller, name: &ModuleName) -> Result<Map<String, Value>, ApiError> {
        match self.modules() {
            Ok(modules) => modules.config(caller, name).await,
            Err(_) if caller.module().as_ref() == Some(name) => Ok(Map::new()),
            Err(error) => Err(error),
        }
    }

    /// The tokens that are valid now.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn intents(&self) -> &Intents {
        &self.intents
    }

    pub(crate) fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// `GET /health`.
    #[must_use]
    pub fn health(&self) -> Value {
        json!({
            "status": "ok",
            "version": self.info.version,
            "mode": if self.integrity.safe_mode().is_some() { "safe_mode" } else { "normal" },
            "uptime": self.started.elapsed().as_secs(),
            "integrity": self.integrity.word(),
        })
    }

    /// `GET /system/info`; nobody known is told only the version, and whether the hub was set up.
    #[must_use]
    pub fn system_info(&self, caller: &Caller) -> Value {
        let mut info = json!({ "version": self.info.version, "initialized": false });
        if !matches!(caller, Caller::Anonymous) {
            info["commit"] = json!(self.info.commit);
            info["build_time"] = json!(self.info.build_time);
            info["hardware"] = self.info.hardware.clone();
            info["os"] = self.info.os.clone();
            if let Ok(modules) = self.modules() {
                info["engine"] = json!(modules.engine());
                info["storage"] = modules.storage();
                info["reconcile"] = modules.last_pass();
            }
        }
        info
    }

    /// Publishes an event of the hub itself.
    ///
    /// # Errors
    /// The store's.
    pub async fn announce(&self, event_type: &'static str, payload: Value) -> Result<(), ApiError> {
        write(&self.store, move |tx| append(tx, event_type, "core", payload).map(|_| ())).await
    }

    /// The newest audit records.
    ///
    /// # Errors
    /// The store's.
    pub async fn audit_records(&self, limit: usize) -> Result<Vec<AuditRecord>, ApiError> {
        self.settle().await?;
        read(&self.store, move |rows| rows.audit(limit.min(MAX_PAGE))).await
    }

    /// `POST /intents/register`.
    ///
    /// # Errors
    /// [`ApiError::Invalid`]; 403 for another module or port than the caller's own.
    pub fn register_intents(&self, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        self.intents.register(caller, body)
    }

    /// `GET /intents`.
    #[must_use]
    pub fn list_intents(&self) -> Value {
        self.intents.list()
    }

    /// `DELETE /intents/{module}`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`]; 403 for another module than the caller.
    pub fn delete_intents(&self, caller: &Caller, module: &str) -> Result<(), ApiError> {
        self.intents.delete(caller, module)
    }

    /// Tells of devices that fall silent or come back, until the hub ends.
    pub async fn keep_presence(self: Arc<Self>) {
        let changes = self.presence_changes.lock().expect("nothing panics while it holds it").take();
        let Some(mut changes) = changes else { return };
        let watch = self.presence.watch();
        let tell = async {
            while let Some(change) = changes.recv().await {
                let event_type = if change.online { "device.online" } else { "device.offline" };
                let since = Timestamp::now().as_duration().as_secs_f64();
                let payload = json!({ "device_id": change.device, "since": since });
                if let Err(error) = self.announce(event_type, payload).await {
                    tracing::error!(error = &error as &dyn std::error::Error, event_type, "an event was not stored");
                }
            }
        };
        tokio::join!(watch, tell);
    }

    /// Writes what is only in memory, and waits until all that was written before is durable.
    ///
    /// # Errors
    /// The store's.
    pub async fn settle(&self) -> Result<(), ApiError> {
        self.flush_audit();
        crate::transact::write(&self.store, |_| Ok(())).await
    }

    /// Flushes the audit counts every 5 seconds, until the hub ends.
    pub async fn keep_audit(self: Arc<Self>) {
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            self.flush_audit();
        }
    }
}

pub(crate) fn append(tx: &mut dyn Tx, event_type: &str, source: &str, payload: Value) -> Result<Arc<Event>, ApiError> {
    debug_assert!(source != "core" || PUBLISHED.contains(&event_type), "`{event_type}` is missing in the hub's list");
    let event_type = EventType::new(event_type).expect("the hub's own event types are well-formed");
    Ok(tx.append_event(Uuid::new_v4(), &event_type, source, Timestamp::now(), payload)?)
}
