//! The hub, as a module reaches it (protocol, section 5).

mod call;
mod connection;
mod devices;
mod error;
mod events;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::Method;
use selena_types::Secret;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::environment::Environment;
use call::Call;
use connection::Connections;

pub use devices::{Device, Devices, NewDevice};
pub use error::{HubError, Refusal};
pub use events::{Published, Subscription};

/// How long a call is made again while the hub is away or busy, if the module says nothing else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The hub. Clones share their connections; each may be used from any task.
///
/// A call that the hub could not take (429, 503, no connection) is made again with growing pauses for up to
/// 30 seconds ([`Module::patience`](crate::Module::patience)), unless it might then be done twice.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    name: String,
    port: u16,
    token: Secret,
    connections: Connections,
    patience: Duration,
    request_id: (u64, AtomicU64),
    lost: AtomicBool,
    back: Notify,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("module", &self.0.name)
            .field("url", self.0.connections.url())
            .finish_non_exhaustive()
    }
}

impl Hub {
    pub(crate) fn new(environment: Environment, patience: Duration) -> Self {
        let Environment { name, port, core, token, .. } = environment;
        // Only so that two starts of a module have different ids.
        let start = RandomState::new().hash_one(&name);
        Self(Arc::new(Inner {
            name,
            port,
            token,
            connections: Connections::new(core),
            patience,
            request_id: (start, AtomicU64::new(1)),
            lost: AtomicBool::new(false),
            back: Notify::new(),
        }))
    }

    /// The module's own name.
    #[must_use]
    pub fn module_name(&self) -> &str {
        &self.0.name
    }

    /// The hub's devices.
    #[must_use]
    pub fn devices(&self) -> Devices<'_> {
        Devices::new(self)
    }

    /// `GET /modules/{name}/config`: the module's own settings.
    ///
    /// They are empty for a module that is not installed, which is one that runs beside a development hub.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn config(&self) -> Result<Map<String, Value>, HubError> {
        #[derive(Deserialize)]
        struct Answer {
            config: Map<String, Value>,
        }
        let path = format!("/modules/{}/config", self.0.name);
        match self.ask::<Answer>(Call::new(Method::GET, path)).await {
            Ok(answer) => Ok(answer.config),
            Err(error) if error.status() == Some(404) => Ok(Map::new()),
            Err(error) => Err(error),
        }
    }

    /// `GET /health`: what the hub says of itself.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn health(&self) -> Result<Value, HubError> {
        self.ask(Call::new(Method::GET, "/health")).await
    }

    fn connections(&self) -> &Connections {
        &self.0.connections
    }

    fn token(&self) -> &Secret {
        &self.0.token
    }

    fn patience(&self) -> Duration {
        self.0.patience
    }

    fn next_request_id(&self) -> String {
        let (start, next) = &self.0.request_id;
        format!("{start:016x}-{}", next.fetch_add(1, Ordering::Relaxed))
    }

    fn was_lost(&self) {
        self.0.lost.store(true, Ordering::Relaxed);
    }

    fn is_back(&self) {
        if self.0.lost.swap(false, Ordering::Relaxed) {
            self.0.back.notify_one();
        }
    }

    /// Ends when the hub answers again after a connection broke or was refused: it may have forgotten subscriptions.
    pub(crate) async fn came_back(&self) {
        self.0.back.notified().await;
    }
}
