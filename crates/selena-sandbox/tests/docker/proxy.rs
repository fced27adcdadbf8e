//! A Docker that can be taken away: a Unix socket in front of the real one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};

use crate::hub::docker_socket;

/// What the proxy does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes on all that comes.
    Passing,
    /// Takes connections, keeps those there are, and passes nothing on.
    Silent,
    /// Closes all connections.
    Broken,
}

pub(crate) struct Proxy {
    mode: Arc<watch::Sender<Mode>>,
    server: JoinHandle<()>,
}

impl Proxy {
    pub(crate) fn new(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let mode = Arc::new(watch::Sender::new(Mode::Passing));
        let server = tokio::spawn(serve(listener, docker_socket(), Arc::clone(&mode)));
        Self { mode, server }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: UnixListener, docker: PathBuf, mode: Arc<watch::Sender<Mode>>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        tokio::spawn(pass(client, docker.clone(), mode.subscribe()));
    }
}

async fn pass(mut client: UnixStream, docker: PathBuf, mut mode: watch::Receiver<Mode>) {
    let mut docker = UnixStream::connect(docker).await.unwrap();
    loop {
        let now = *mode.borrow_and_update();
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return },
            _ = copy_bidirectional(&mut client, &mut docker), if now == Mode::Passing => return,
            () = std::future::ready(()), if now == Mode::Broken => return,
        }
    }
}
