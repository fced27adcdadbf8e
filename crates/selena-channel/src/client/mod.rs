//! The core's end: the port `Sandbox` over the socket.

mod connection;
mod link;
mod port;
mod volumes;

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use selena_core::ports::{ContainerExit, EngineState, ExitCause, HostDevices, RunId};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use link::Link;

/// A sandbox in another process. It connects, and connects again, by itself.
///
/// While it is not connected the engine is `Down`, and every call fails at once. A connection that was lost makes an end
/// of all runs: another sandbox process does not know them, and a namespace that was left is never entered again.
#[derive(Debug)]
pub struct RemoteSandbox {
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

/// What happened on the socket so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were made.
    pub connections: u64,
    /// Answers to calls that were never asked (fault I10).
    pub stray_answers: u64,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// The connection, if there is one.
    link: Mutex<Option<Arc<Link>>>,
    engine: watch::Sender<EngineState>,
    devices: watch::Sender<Arc<HostDevices>>,
    exits: mpsc::UnboundedSender<ContainerExit>,
    exits_receiver: Mutex<Option<mpsc::UnboundedReceiver<ContainerExit>>>,
    /// The runs that were handed out and have not ended.
    runs: Mutex<HashSet<RunId>>,
    connections: AtomicU64,
    stray_answers: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RemoteSandbox {
    /// Begins to connect to the socket at `path`. Has to be called in a tokio runtime.
    #[must_use]
    pub fn connect(path: PathBuf) -> Self {
        let (exits, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            path,
            link: Mutex::default(),
            engine: watch::Sender::new(EngineState::Unknown),
            devices: watch::Sender::default(),
            exits,
            exits_receiver: Mutex::new(Some(receiver)),
            runs: Mutex::default(),
            connections: AtomicU64::default(),
            stray_answers: AtomicU64::default(),
        });
        let keeper = tokio::spawn(connection::keep(shared.clone()));
        Self { shared, keeper }
    }

    /// What happened on the socket so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            connections: self.shared.connections.load(Ordering::Relaxed),
            stray_answers: self.shared.stray_answers.load(Ordering::Relaxed),
        }
    }
}

impl Drop for RemoteSandbox {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Shared {
    fn set_engine(&self, state: EngineState) {
        self.engine.send_if_modified(|known| {
            let changed = *known != state;
            *known = state;
            changed
        });
    }

    fn set_devices(&self, devices: HostDevices) {
        self.devices.send_if_modified(|known| {
            let changed = **known != devices;
            if changed {
                *known = Arc::new(devices);
            }
            changed
        });
    }

    /// A run was handed out.
    fn began(&self, run: &RunId) {
        lock(&self.runs).insert(run.clone());
    }

    /// A run ended.
    fn ended(&self, exit: ContainerExit) {
        lock(&self.runs).remove(&exit.run);
        // Nobody listens any more only when the core itself ends.
        let _ = self.exits.send(exit);
    }

    /// All runs of a connection before.
    fn end_all(&self) {
        for run in lock(&self.runs).drain() {
            let _ = self.exits.send(ContainerExit { run, cause: ExitCause::EngineRestarted });
        }
    }
}
