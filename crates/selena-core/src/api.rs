//! The module API: what both wires offer, behind one door (protocol, sections 5 and 6).

use std::{
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use jiff::Timestamp;
use selena_types::{
    AuditRecord, Device, DeviceId, DeviceKind, Event, EventPattern, EventType, NewDevice, Secret, StateAt,
};
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::{
    ApiError,
    access::Operation,
    audit::Audit,
    delivery::Outgoing,
    devices::{Devices, MAX_DEVICES, MAX_STATE_BYTES},
    identity::{Caller, Credentials, Identity, Origin, RequestLimits},
    modules::Modules,
    ports::{Commit, CommitObserver, ModuleCalls, Store, Tx},
    subscriptions::{Subscription, Subscriptions},
    transact::{read, write},
    webhook_url::WebhookUrl,
};

/// Most events or states of one answer.
pub const MAX_PAGE: usize = 1000;
/// Most rows that one page of events looks at before it answers with fewer.
const MAX_SCAN: usize = 10_000;

/// What the hub says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubInfo {
    /// Version of the core.
    pub version: semver::Version,
    /// Commit it was built from, or `unknown`.
    pub commit: String,
    /// When it was built, ISO 8601, or `unknown`.
    pub build_time: String,
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
    modules: OnceLock<Weak<Modules>>,
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
    subscriptions: Arc<Subscriptions>,
}

impl CommitObserver for Observer {
    fn committed(&self, changes: &[Commit]) {
        for change in changes {
            match change {
                Commit::Device(change) => self.devices.apply(change),
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
        for device in read(&store, |rows| rows.devices()).await? {
            devices.apply(&crate::ports::DeviceChange::Put(Arc::new(device)));
        }
        store.observe(Arc::new(Observer { devices: devices.clone(), subscriptions: subscriptions.clone() }));
        let audit = Audit::new(store.clone());
        let modules = OnceLock::new();
        Ok(Self { info, started: Instant::now(), store, devices, subscriptions, identity, audit, modules })
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
            Err(error) => Err((error, None)),
        };
        outcome.map_err(|(error, caller)| {
            let subject = caller.as_ref().map_or_else(|| listener(origin), |caller| caller.subject().to_owned());
            self.refused(&error, &subject, &format!("{operation:?}"));
            error
        })
    }

    /// Records that something was refused.
    pub fn refused(&self, error: &ApiError, subject: &str, what: &str) {
        let event = match error {
            ApiError::Unauthenticated => "unauthenticated",
            ApiError::WrongNamespace => "token_wrong_namespace",
            ApiError::PermissionMissing(_) => "permission_denied",
            ApiError::RateLimited => "rate_limit_exceeded",
            ApiError::Forbidden { code, .. } | ApiError::Conflict { code, .. } => code,
            _ => "request_refused",
        };
        let detail = match error {
            ApiError::PermissionMissing(permission) => format!("{what} needs {permission}"),
            _ => what.to_owned(),
        };
        self.audit.record(event, subject, &detail);
    }

    /// Records that something was done.
    pub(crate) fn record(&self, event: &'static str, subject: &str, detail: &str) {
        self.audit.record(event, subject, detail);
    }

    /// Writes the counts of the audit log that are still in memory.
    pub fn flush_audit(&self) {
        self.audit.flush();
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

    /// The tokens that are valid now.
    pub fn identity(&self) -> &Identity {
        &self.identity
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
            "mode": "normal",
            "uptime": self.started.elapsed().as_secs(),
            "integrity": "unknown",
        })
    }

    /// `GET /system/info`; nobody known is told only the version, and whether the hub was set up.
    #[must_use]
    pub fn system_info(&self, caller: &Caller) -> Value {
        let mut info = json!({ "version": self.info.version, "initialized": true });
        if !matches!(caller, Caller::Anonymous) {
            info["commit"] = json!(self.info.commit);
            info["build_time"] = json!(self.info.build_time);
            if let Ok(modules) = self.modules() {
                info["engine"] = json!(modules.engine());
                info["storage"] = modules.storage();
            }
        }
        info
    }

    /// `GET /devices`, as JSON.
    #[must_use]
    pub fn devices_json(&self) -> Bytes {
        self.devices.list_json()
    }

    /// `GET /devices/{id}`, as JSON.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn device_json(&self, id: DeviceId) -> Result<Bytes, ApiError> {
        self.devices.json(id).ok_or(ApiError::NotFound("device"))
    }

    /// `POST /devices`: event `device.registered`.
    ///
    /// # Errors
    /// `limit_devices`, or the store's.
    pub async fn register_device(&self, caller: &Caller, new: NewDevice) -> Result<Arc<Device>, ApiError> {
        let module_id = caller.module();
        write(&self.store, move |tx| {
            if let Some(module) = &module_id
                && tx.device_count(module)? >= MAX_DEVICES
            {
                let detail = format!("a module has at most {MAX_DEVICES} devices: delete one first");
                return Err(ApiError::limit("limit_devices", detail));
            }
            let device = tx.put_device(Device {
                device_id: DeviceId::random(),
                name: new.name,
                kind: new.kind,
                protocol: new.protocol,
                state: Map::new(),
                capabilities: new.capabilities,
                last_seen: None,
                module_id,
                meta: new.meta,
            })?;
            let payload = json!({ "device_id": device.device_id, "name": device.name });
            append(tx, "device.registered", "core", payload)?;
            Ok(device)
        })
        .await
    }

    /// `PATCH /devices/{id}/state`: replaces the state; event `device.state_changed`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], `not_your_device`, too large a state, or the store's.
    pub async fn set_state(
        &self,
        caller: &Caller,
        id: DeviceId,
        state: Map<String, Value>,
    ) -> Result<Arc<Device>, ApiError> {
        if serde_json::to_string(&state).map_or(usize::MAX, |text| text.len()) > MAX_STATE_BYTES {
            let msg = format!("a state is at most {MAX_STATE_BYTES} bytes of JSON");
            return Err(selena_types::Problems::one(["body".into(), "state".into()], "too_long", msg).into());
        }
        let owner = Owner::of(caller);
        let changed_by = caller.source().to_owned();
        write(&self.store, move |tx| {
            let device = tx.device(id)?.ok_or(ApiError::NotFound("device"))?;
            if device.kind == DeviceKind::Sensor {
                owner.check(&device)?;
            }
            let old_state = device.state.clone();
            let device = tx.set_state(device, state, now_secs())?;
            let payload = json!({
                "device_id": id, "old_state": old_state, "new_state": device.state, "changed_by": changed_by,
            });
            append(tx, "device.state_changed", "core", payload)?;
            Ok(device)
        })
        .await
    }

    /// `DELETE /devices/{id}`: event `device.removed`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], `not_your_device`, or the store's.
    pub async fn delete_device(&self, caller: &Caller, id: DeviceId) -> Result<(), ApiError> {
        let owner = Owner::of(caller);
        write(&self.store, move |tx| {
            let device = tx.device(id)?.ok_or(ApiError::NotFound("device"))?;
            owner.check(&device)?;
            tx.delete_device(id)?;
            let payload = json!({ "device_id": id, "name": device.name });
            append(tx, "device.removed", "core", payload).map(|_| ())
        })
        .await
    }

    /// `GET /devices/{id}/history`: newest first.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], or the store's.
    pub async fn history(&self, id: DeviceId, since: Option<f64>, limit: usize) -> Result<Vec<StateAt>, ApiError> {
        self.devices.get(id).ok_or(ApiError::NotFound("device"))?;
        read(&self.store, move |rows| rows.history(id, since, limit.min(MAX_PAGE))).await
    }

    /// `POST /events/publish`.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] for a type that is not the caller's to publish, or the store's.
    pub async fn publish(
        &self,
        caller: &Caller,
        event_type: EventType,
        payload: Map<String, Value>,
    ) -> Result<Arc<Event>, ApiError> {
        let forbidden = |detail: &str| ApiError::Forbidden { code: "event_reserved", detail: detail.to_owned() };
        if event_type.is_core() {
            return Err(forbidden("Publishing core.* events is forbidden for modules"));
        }
        if event_type.is_reserved() && !caller.is_system() {
            return Err(forbidden(&format!("events of type {event_type} are published by the hub only")));
        }
        if let Caller::Module(run) = caller
            && let Some(allowed) = &run.events.publish
            && !allowed.iter().any(|pattern| pattern.matches(&event_type))
        {
            return Err(not_declared("publish", event_type.as_str()));
        }
        let source = caller.source().to_owned();
        write(&self.store, move |tx| {
            Ok(tx.append_event(Uuid::new_v4(), &event_type, &source, Timestamp::now(), Value::Object(payload))?)
        })
        .await
    }

    /// Publishes an event of the hub itself.
    ///
    /// # Errors
    /// The store's.
    pub async fn announce(&self, event_type: &'static str, payload: Value) -> Result<(), ApiError> {
        write(&self.store, move |tx| append(tx, event_type, "core", payload).map(|_| ())).await
    }

    /// `POST /events/subscribe`.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] for patterns the caller may not see, [`ApiError::Invalid`] for a URL that is not its own,
    /// `limit_subscriptions`.
    pub fn subscribe(
        &self,
        caller: &Caller,
        patterns: Vec<EventPattern>,
        webhook_url: &str,
    ) -> Result<Subscription, ApiError> {
        if !caller.is_system()
            && let Some(pattern) = patterns.iter().find(|pattern| pattern.names_internal())
        {
            let detail = format!("events of type {pattern} are for the hub itself");
            return Err(ApiError::Forbidden { code: "event_reserved", detail });
        }
        if let Some(pattern) = patterns.iter().find(|pattern| !may_ask_for(caller, pattern)) {
            return Err(not_declared("subscribe", &pattern.to_string()));
        }
        let url = WebhookUrl::parse(webhook_url).filter(|url| match caller {
            Caller::Module(run) => run.port.is_some_and(|port| port.get() == url.port),
            _ => true,
        });
        let url = url.ok_or_else(|| {
            let msg = "must be http://localhost:<the module's own port>/<path>";
            selena_types::Problems::one(["body".into(), "webhook_url".into()], "webhook_url", msg)
        })?;
        self.subscriptions.add(caller, patterns, url)
    }

    /// `DELETE /events/subscriptions/{id}`: only the caller's own.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn unsubscribe(&self, caller: &Caller, id: Uuid) -> Result<(), ApiError> {
        let removed = caller.module().is_some_and(|owner| self.subscriptions.remove(&owner, id));
        if removed { Ok(()) } else { Err(ApiError::NotFound("subscription")) }
    }

    /// `GET /events`: what the caller could have received, with the `seq` to go on from.
    ///
    /// # Errors
    /// The store's.
    pub async fn events(
        &self,
        caller: &Caller,
        since_seq: i64,
        pattern: Option<EventPattern>,
        limit: usize,
    ) -> Result<(Vec<Event>, i64), ApiError> {
        let caller = caller.clone();
        let limit = limit.min(MAX_PAGE);
        read(&self.store, move |rows| {
            let (mut found, mut next, mut scanned) = (Vec::new(), since_seq, 0);
            while found.len() < limit && scanned < MAX_SCAN {
                let page = rows.events_since(next, MAX_PAGE)?;
                if page.is_empty() {
                    break;
                }
                scanned += page.len();
                for event in page {
                    if found.len() == limit {
                        break;
                    }
                    next = event.seq;
                    if pattern.as_ref().is_none_or(|pattern| pattern.matches(&event.event_type))
                        && may_see(&caller, &event.event_type)
                    {
                        found.push(event);
                    }
                }
            }
            Ok((found, next))
        })
        .await
    }

    /// The newest `seq`.
    ///
    /// # Errors
    /// The store's.
    pub async fn last_seq(&self) -> Result<i64, ApiError> {
        read(&self.store, |rows| rows.last_seq()).await
    }

    /// Every event from now on, for `GET /events/stream`; what the caller may see of it tells [`may_see`].
    pub fn stream(&self) -> broadcast::Receiver<Arc<Outgoing>> {
        self.subscriptions.stream()
    }

    /// The newest audit records.
    ///
    /// # Errors
    /// The store's.
    pub async fn audit_records(&self, limit: usize) -> Result<Vec<AuditRecord>, ApiError> {
        self.flush_audit();
        read(&self.store, move |rows| rows.audit(limit.min(MAX_PAGE))).await
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

/// Who may change a device that has an owner.
#[derive(Debug)]
enum Owner {
    Anyone,
    Only(Option<selena_types::ModuleName>),
}

impl Owner {
    fn of(caller: &Caller) -> Self {
        match caller {
            Caller::Person { .. } => Self::Anyone,
            caller if caller.is_system() => Self::Anyone,
            caller => Self::Only(caller.module()),
        }
    }

    fn check(&self, device: &Device) -> Result<(), ApiError> {
        match self {
            Self::Only(module) if module.is_none() || *module != device.module_id => {
                let detail = "only the module that registered this device may do that".to_owned();
                Err(ApiError::Forbidden { code: "not_your_device", detail })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a caller could have received an event of this type by subscription (protocol, section 6).
#[must_use]
pub fn may_see(caller: &Caller, event_type: &EventType) -> bool {
    match caller {
        Caller::Person { .. } => true,
        _ if event_type.is_internal() => caller.is_system(),
        Caller::Module(run) => {
            run.events.subscribe.as_ref().is_none_or(|all| all.iter().any(|pattern| pattern.matches(event_type)))
        }
        _ => true,
    }
}

fn may_ask_for(caller: &Caller, pattern: &EventPattern) -> bool {
    match caller {
        Caller::Module(run) => {
            run.events.subscribe.as_ref().is_none_or(|all| all.iter().any(|allowed| allowed.covers(pattern)))
        }
        _ => true,
    }
}

fn not_declared(what: &str, pattern: &str) -> ApiError {
    let detail = format!("`events.{what}` of manifest.json does not list {pattern}");
    ApiError::Forbidden { code: "event_not_declared", detail }
}

pub(crate) fn append(tx: &mut dyn Tx, event_type: &str, source: &str, payload: Value) -> Result<Arc<Event>, ApiError> {
    let event_type = EventType::new(event_type).expect("the hub's own event types are well-formed");
    Ok(tx.append_event(Uuid::new_v4(), &event_type, source, Timestamp::now(), payload)?)
}

/// Now in Unix seconds.
fn now_secs() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}

/// A listener's name, for the audit log.
fn listener(origin: &Origin) -> String {
    match origin {
        Origin::Module(run) => format!("listener of {}", run.name),
        Origin::Host(_) => "host listener".to_owned(),
        Origin::Admin { who } => who.clone(),
    }
}
