//! Both ends against each other, and each against a peer that breaks the rules (series I, by id).

mod calls;
mod fake;
mod faults;
mod peers;
mod reconnect;

use std::{os::fd::OwnedFd, path::PathBuf, sync::Arc, time::Duration};

use selena_core::ports::{EngineState, Sandbox};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    AllowedPeer, Gate, Refusal, RemoteSandbox, Request, Server, Tally, codec, hello, listen,
    message::{ToCore, ToSandbox},
    packet::{MAX_PACKET_BYTES, PacketError, PacketSocket},
};
use fake::FakeSandbox;

/// More than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for it, but not for ever.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Lets everything pass but what concerns the module `forbidden`.
#[derive(Debug)]
struct TestGate;

impl Gate for TestGate {
    fn check(&self, request: &Request) -> Result<(), Refusal> {
        match request {
            Request::Purge { module } if module.as_str() == "forbidden" => {
                Err(Refusal { code: "test", detail: "it is forbidden".to_owned() })
            }
            _ => Ok(()),
        }
    }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A server on a socket of its own.
struct House {
    dir: tempfile::TempDir,
    sandbox: Arc<FakeSandbox>,
    tally: Arc<Tally>,
    ended: CancellationToken,
    task: JoinHandle<()>,
}

impl House {
    fn new() -> Self {
        Self::of(AllowedPeer { uid: own_uid(), root: false })
    }

    fn of(peer: AllowedPeer) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = Arc::new(FakeSandbox::default());
        let (tally, ended, task) = serve(dir.path().join("socket"), sandbox.clone(), peer);
        Self { dir, sandbox, tally, ended, task }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// Ends the server; its socket file stays, as after a crash.
    async fn stop(&mut self) {
        self.ended.cancel();
        soon("the server ends", &mut self.task).await.unwrap();
    }

    /// Another server, with a sandbox that knows nothing of before.
    fn start_again(&mut self) {
        self.sandbox = Arc::new(FakeSandbox::default());
        let peer = AllowedPeer { uid: own_uid(), root: false };
        (self.tally, self.ended, self.task) = serve(self.path(), self.sandbox.clone(), peer);
    }

    /// A core that is connected.
    async fn core(&self) -> RemoteSandbox {
        let core = RemoteSandbox::connect(self.path());
        is_up(&core).await;
        core
    }

    /// A peer that speaks for itself, after a good handshake.
    async fn peer(&self) -> PacketSocket {
        let peer = PacketSocket::connect(&self.path()).unwrap();
        soon("a handshake", hello::greet(&peer)).await.unwrap();
        peer
    }
}

fn serve(
    path: PathBuf,
    sandbox: Arc<FakeSandbox>,
    peer: AllowedPeer,
) -> (Arc<Tally>, CancellationToken, JoinHandle<()>) {
    let listener = listen(&path, None).unwrap();
    let server = Arc::new(Server::new(sandbox.clone(), sandbox, Arc::new(TestGate), peer));
    let ended = CancellationToken::new();
    (server.tally(), ended.clone(), tokio::spawn(server.run(listener, ended, None)))
}

async fn is_up(core: &RemoteSandbox) {
    let mut engine = core.engine();
    soon("the engine is up", engine.wait_for(|state| *state == EngineState::Up)).await.unwrap();
}

async fn send(peer: &PacketSocket, message: &ToSandbox, descriptors: &[OwnedFd]) {
    peer.send(&codec::encode(message).unwrap(), descriptors).await.unwrap();
}

/// The next message, the news of the begin and others apart.
async fn next_answer(peer: &PacketSocket) -> Result<(ToCore, Vec<OwnedFd>), PacketError> {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    loop {
        let (bytes, descriptors) = soon("an answer", peer.receive(&mut buffer)).await?;
        let message = codec::decode(&buffer[..bytes]).unwrap();
        if !matches!(message, ToCore::Devices(_) | ToCore::Engine(_) | ToCore::Exit { .. }) {
            return Ok((message, descriptors));
        }
    }
}

/// Waits until the server closed the connection; the reason it gave.
async fn closed(peer: &PacketSocket) -> Option<String> {
    let mut reason = None;
    loop {
        match next_answer(peer).await {
            Ok((ToCore::Bye { reason: told }, _)) => reason = Some(told),
            Ok(_) => {}
            Err(_closed) => return reason,
        }
    }
}
