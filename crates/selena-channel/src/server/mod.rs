//! The sandbox's end: who may connect, and one core at a time.

mod calls;
mod session;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use selena_core::ports::{ContainerExit, DataVolumes, Sandbox};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Mutex, Semaphore, mpsc},
    time::{Interval, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Request,
    hello::{self, HelloError, Rejection},
    packet::PacketSocket,
};
use calls::Calls;
use session::Session;

/// Most connections at one time, those that have not spoken yet among them (fault I09).
const MAX_CONNECTIONS: usize = 16;

/// What a core may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Machine-readable.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// What confines a core: asked about every call, before anything is done for it.
pub trait Gate: fmt::Debug + Send + Sync + 'static {
    /// Whether the core may ask for this.
    ///
    /// # Errors
    /// [`Refusal`], which is written to the journal and told to the core.
    fn check(&self, request: &Request) -> Result<(), Refusal>;
}

/// Who may connect, by the kernel's word (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedPeer {
    /// The user the core runs as.
    pub uid: u32,
    /// Whether root may too: in development.
    pub root: bool,
}

impl AllowedPeer {
    fn allows(self, uid: u32) -> bool {
        uid == self.uid || (self.root && uid == 0)
    }
}

/// What a server refused so far.
#[derive(Debug, Default)]
pub struct Tally {
    connections: AtomicU64,
    peers: AtomicU64,
    calls: AtomicU64,
}

impl Tally {
    /// Connections over the limit.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Connections of users that may not connect.
    #[must_use]
    pub fn peers(&self) -> u64 {
        self.peers.load(Ordering::Relaxed)
    }

    /// Calls that were refused.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// Offers a sandbox to a core on a socket.
#[derive(Debug)]
pub struct Server {
    peer: AllowedPeer,
    sandbox: Arc<dyn Sandbox>,
    calls: Arc<Calls>,
    tally: Arc<Tally>,
    /// The ends of runs, for whoever is connected; held by the one core that is.
    exits: Mutex<mpsc::UnboundedReceiver<ContainerExit>>,
}

impl Server {
    /// A server of that sandbox and its data volumes.
    #[must_use]
    pub fn new(
        sandbox: Arc<dyn Sandbox>,
        volumes: Arc<dyn DataVolumes>,
        gate: Arc<dyn Gate>,
        peer: AllowedPeer,
    ) -> Self {
        let tally = Arc::new(Tally::default());
        let calls = Arc::new(Calls::new(sandbox.clone(), volumes, gate, tally.clone()));
        let exits = Mutex::new(sandbox.exits());
        Self { peer, sandbox, calls, tally, exits }
    }

    /// What it refused so far.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// Serves until `ended`; then what was begun and cannot be left half-done comes to its end.
    ///
    /// `pulse` is how often, and to whom, this loop says that it is alive.
    pub async fn run(
        self: Arc<Self>,
        listener: UnixListener,
        ended: CancellationToken,
        pulse: Option<(Duration, fn())>,
    ) {
        let mut beats = pulse.map(|(every, _)| interval(every));
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = ended.cancelled() => break,
                () = next(&mut beats) => {
                    pulse.inspect(|(_, beat)| beat());
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _unnamed)) => stream,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "no connection could be accepted");
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                self.tally.connections.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(refusal = "connections", "a connection was refused: {MAX_CONNECTIONS} are open");
                continue;
            };
            let (server, ended) = (self.clone(), ended.clone());
            connections.spawn(async move {
                let _place = place;
                tokio::select! {
                    () = ended.cancelled() => {}
                    () = server.connection(stream) => {}
                }
            });
        }
        connections.close();
        connections.wait().await;
        self.calls.settle().await;
    }

    async fn connection(&self, stream: UnixStream) {
        let Some(uid) = self.allowed(&stream) else { return };
        match self.session(stream).await {
            Ok(()) => tracing::info!(uid, "the core is gone"),
            Err(error) => {
                tracing::warn!(
                    refusal = "handshake",
                    uid,
                    error = &error as &dyn std::error::Error,
                    "no core connected"
                );
            }
        }
    }

    /// The peer's user, if it may connect (fault I06).
    fn allowed(&self, stream: &UnixStream) -> Option<u32> {
        let peer = stream.peer_cred().ok()?;
        if self.peer.allows(peer.uid()) {
            return Some(peer.uid());
        }
        self.tally.peers.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            refusal = "peer",
            uid = peer.uid(),
            pid = peer.pid(),
            "a connection of a user that is not the core's was refused"
        );
        None
    }

    async fn session(&self, stream: UnixStream) -> Result<(), HelloError> {
        let socket = Arc::new(PacketSocket::new(stream)?);
        hello::welcome(&socket).await?;
        let Ok(mut exits) = self.exits.try_lock() else {
            hello::answer(&socket, Err(Rejection::Taken)).await?;
            return Err(HelloError::Taken);
        };
        hello::answer(&socket, Ok(())).await?;
        tracing::info!("a core is connected");
        // What ended while nobody was connected belongs to runs that this core does not know.
        while exits.try_recv().is_ok() {}
        Session::new(socket, self.calls.clone()).run(&*self.sandbox, &mut exits).await;
        Ok(())
    }
}

async fn next(beats: &mut Option<Interval>) {
    match beats {
        Some(beats) => _ = beats.tick().await,
        None => std::future::pending().await,
    }
}
