//! The program from its first line to its last.

mod arguments;
mod identity;
mod places;

use std::sync::Arc;

use anyhow::Context;
use selena_channel::{AllowedPeer, Server, adopt, listen};
use selena_runtime::{machine, notify, shutdown, sockets::PassedSockets, startup_code};
use selena_sandbox::{Confinement, DockerSandbox};
use selena_types::ResourceLimits;
use tokio_util::sync::CancellationToken;

pub(crate) use arguments::Arguments;
pub(crate) use places::Places;

/// The name of its socket among those that systemd passes.
const SOCKET_NAME: &str = "sandbox";

/// Serves until it is told to end. Containers outlive it.
pub(crate) fn run(mut places: Places, passed: PassedSockets) -> anyhow::Result<()> {
    // The core makes it, and may not have been there yet: that heals by a restart. The core names it by its full path.
    let data_dir = places.sandbox.data_dir.canonicalize();
    places.sandbox.data_dir = data_dir.with_context(|| {
        format!("the core's data directory `{}` is not there yet", places.sandbox.data_dir.display())
    })?;
    // One thread is enough: it waits for Docker and for the core; what blocks has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(places, passed));
    runtime.shutdown_background();
    outcome
}

async fn serve(places: Places, mut passed: PassedSockets) -> anyhow::Result<()> {
    let ended = shutdown::listen().context("cannot listen for signals")?;
    let listener = match passed.take(SOCKET_NAME) {
        Some(socket) => adopt(socket)?,
        None => listen(&places.socket, places.core_group)?,
    };
    if !passed.left().is_empty() {
        tracing::warn!(sockets = ?passed.left(), "systemd passed sockets that are not known; the name is `{SOCKET_NAME}`");
    }
    let gate = Arc::new(Confinement::new(places.sandbox.clone(), limits()));
    let sandbox = Arc::new(DockerSandbox::new(places.sandbox));
    let peer = AllowedPeer { uid: places.core_uid, root: places.dev };
    let server = Arc::new(Server::new(sandbox.clone(), sandbox, gate, peer));
    let stop = CancellationToken::new();
    let pulse = notify::watchdog_interval().map(|every| (every, notify::watchdog as fn()));
    let served = tokio::spawn(server.run(listener, stop.clone(), pulse));
    tracing::info!(core_uid = places.core_uid, socket = %places.socket.display(), "the sandbox serves");
    notify::ready();
    startup_code::give_back();
    let signal = ended.await;
    tracing::info!(?signal, "the sandbox ends; containers stay");
    notify::stopping();
    stop.cancel();
    served.await.context("the server panicked")
}

/// What one module gets at most, whatever the core says.
fn limits() -> ResourceLimits {
    let (memory_mb, cpu) = machine::module_share();
    ResourceLimits { memory_mb, cpu, data_mb: machine::MAX_DATA_MB }
}
