//! The hub of a test.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicI64},
};

use hyper::StatusCode;
use selena_core::{
    identity::Origin,
    ports::{ListenerHost, ServedListener, Store},
};
use selena_http::Server;
use selena_types::{Device, DeviceId, Event, EventType, NewDevice};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    assembly::{Guest, Parts, assemble, store},
    port::ReservedPort,
    tap::Tap,
};

/// A hub in memory, for one module that runs as a plain process or task beside it.
///
/// It grants what the module's manifest grants and refuses all else, with the limits of a real hub.
/// The module is reached on a port of the host, which [`FakeHub::env`] tells it; the manifest's own port is not used,
/// so that tests run side by side.
#[derive(Debug)]
pub struct FakeHub {
    pub(crate) guest: Guest,
    pub(crate) parts: Parts,
    pub(crate) tap: Arc<Tap>,
    pub(crate) told: AtomicI64,
    store: Arc<dyn Store>,
    package: PathBuf,
    address: SocketAddr,
    /// `None` while the hub is away.
    open: Option<Open>,
    data_dir: TempDir,
    _port: ReservedPort,
}

/// What listens, until it is dropped.
#[derive(Debug)]
struct Open {
    ended: DropGuard,
    front: JoinHandle<()>,
    _served: Arc<dyn ServedListener>,
}

impl FakeHub {
    /// A hub for a module with this `manifest.json`; the module's package is the current directory.
    ///
    /// # Panics
    /// If a hub would refuse the manifest, with every problem.
    pub async fn start(manifest: &str) -> Self {
        Self::start_with(manifest, PathBuf::from(".")).await
    }

    /// A hub for the module whose package lies unpacked in `directory`, with its `manifest.json`.
    ///
    /// # Panics
    /// If there is no manifest, or a hub would refuse it.
    pub async fn for_package(directory: impl AsRef<Path>) -> Self {
        let directory = directory.as_ref();
        let path = directory.join("manifest.json");
        let manifest =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        Self::start_with(&manifest, directory.to_owned()).await
    }

    async fn start_with(manifest: &str, package: PathBuf) -> Self {
        let port = ReservedPort::take();
        let guest = Guest::new(manifest, port.port);
        let data_dir = TempDir::new().expect("a temporary directory");
        let store = store(&guest).await;
        let parts = assemble(&guest, store.clone(), data_dir.path()).await;
        let tap = Arc::new(Tap::default());
        let (address, open) = listen(&parts, &tap, 0);
        let told = AtomicI64::new(0);
        Self { guest, parts, tap, told, store, package, address, open: Some(open), data_dir, _port: port }
    }

    /// The module's environment (protocol, section 2); it holds the token and the webhook secret.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let package = self.package.canonicalize().unwrap_or_else(|_| self.package.clone());
        let token = self.guest.token.expose();
        vec![
            ("SELENA_MODULE_TOKEN", token.to_owned()),
            ("SELENA_WEBHOOK_SECRET", self.guest.webhook_secret.expose().to_owned()),
            ("SELENA_CORE_URL", self.url()),
            ("SELENA_MODULE_NAME", self.guest.manifest.name.to_string()),
            ("SELENA_MODULE_PORT", self.guest.port.to_string()),
            ("SELENA_INSTALL_PATH", package.display().to_string()),
            ("MODULE_TOKEN", token.to_owned()),
            ("SELENA_CORE_API", self.url()),
        ]
    }

    /// Where the module finds the API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://localhost:{}/api/v1", self.address.port())
    }

    /// Publishes an event as another module, `neighbour`, does; also `device.*` and `module.*`, not `core.*`.
    ///
    /// # Panics
    /// If a hub would refuse the type.
    pub async fn publish(&self, event_type: &str, payload: Value) -> Event {
        let event_type = EventType::new(event_type).expect("an event type");
        let Value::Object(payload) = payload else { panic!("a payload is a JSON object, not {payload}") };
        let published = self.parts.api.publish(&self.parts.neighbour, event_type, payload).await;
        published.unwrap_or_else(|error| panic!("the hub refuses the event: {error}")).as_ref().clone()
    }

    /// Registers a device of another module, `neighbour`, from the body of `POST /devices`.
    ///
    /// # Panics
    /// If a hub would refuse it.
    pub async fn register_device(&self, body: &Value) -> Device {
        let new = NewDevice::parse(body).unwrap_or_else(|problems| panic!("the hub refuses the device: {problems}"));
        let registered = self.parts.api.register_device(&self.parts.neighbour, new).await;
        registered.unwrap_or_else(|error| panic!("the hub refuses the device: {error}")).as_ref().clone()
    }

    /// Sets the state of any device, as another module does; subscribers hear `device.state_changed`.
    ///
    /// # Panics
    /// If a hub would refuse it.
    pub async fn set_state(&self, id: DeviceId, state: Value) -> Device {
        let Value::Object(state) = state else { panic!("a state is a JSON object, not {state}") };
        let set = self.parts.api.set_state(&self.parts.neighbour, id, state).await;
        set.unwrap_or_else(|error| panic!("the hub refuses the state: {error}")).as_ref().clone()
    }

    /// Deletes any device.
    ///
    /// # Panics
    /// If there is none.
    pub async fn delete_device(&self, id: DeviceId) {
        let deleted = self.parts.api.delete_device(&self.parts.neighbour, id).await;
        deleted.unwrap_or_else(|error| panic!("the hub refuses to delete the device: {error}"));
    }

    /// Sets one of the module's settings, as its settings page does; checked by its `config_schema`.
    ///
    /// # Panics
    /// If the schema does not allow it.
    pub async fn set_config(&self, key: &str, value: Value) -> Map<String, Value> {
        let body = json!({ "key": key, "value": value });
        let set = self.parts.modules.set_config(&self.guest.manifest.name, &body, "test").await;
        set.unwrap_or_else(|error| panic!("the hub refuses the setting: {error}"))
    }

    /// Answers the module's next requests with this status, such as 429 or 503, as a hub in trouble does.
    ///
    /// # Panics
    /// If this is no status.
    pub fn refuse_next(&self, status: u16, times: usize) {
        self.tap.refuse(StatusCode::from_u16(status).expect("a status from 100 to 999"), times);
    }

    /// The hub is gone: its port takes no connections, and those that were open are closed.
    ///
    /// # Panics
    /// If the task that listened did.
    pub async fn go_away(&mut self) {
        self.parts.run.end();
        if let Some(Open { ended, front, .. }) = self.open.take() {
            drop(ended);
            front.await.expect("the listener's task does not panic");
        }
    }

    /// The hub is back on the same port, as after a restart: devices are as they were, subscriptions are forgotten.
    ///
    /// # Panics
    /// If its port was taken in the meantime.
    pub async fn come_back(&mut self) {
        self.go_away().await;
        self.parts = assemble(&self.guest, self.store.clone(), self.data_dir.path()).await;
        self.tap.clear();
        self.open = Some(listen(&self.parts, &self.tap, self.address.port()).1);
    }
}

/// Serves the API as in the module's namespace, behind the tap.
fn listen(parts: &Parts, tap: &Arc<Tap>, port: u16) -> (SocketAddr, Open) {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the hub's port is free");
    let (hub, front) = (bind(0), bind(port));
    let (hub_address, address) = (hub.local_addr().expect("it is bound"), front.local_addr().expect("it is bound"));
    let origin = Origin::Module(parts.run.clone());
    let served = Server.serve(hub.into(), parts.api.clone(), origin).expect("the listener listens");
    front.set_nonblocking(true).expect("a socket can be non-blocking");
    let front = tokio::net::TcpListener::from_std(front).expect("a test runs on tokio");
    let ended = CancellationToken::new();
    let front = tokio::spawn(tap.clone().run(front, hub_address, ended.clone()));
    (address, Open { ended: ended.drop_guard(), front, _served: served })
}
