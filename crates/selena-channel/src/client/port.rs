//! The methods of the port, each as one call.

use std::{collections::BTreeMap, io, os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    net::{AddressFamily, SocketType, sockopt},
};
use selena_core::ports::{
    ContainerExit, ContainerPurpose, ContainerSpec, EngineState, EngineUse, HostDevices, ListedContainer, RunId,
    RunUsage, Sandbox, SandboxError, StartedContainer,
};
use selena_types::ModuleName;
use semver::Version;
use tokio::sync::{mpsc, watch};

use super::{RemoteSandbox, Shared, lock};
use crate::{
    big, failure,
    message::{Answer, Call},
    request,
};

/// A start may import the largest image from the slowest card.
pub(super) const START_LIMIT: Duration = Duration::from_secs(12 * 60);
/// All else asks the engine a few times, each time for 30 s at most; what asks more often is longer.
const LIMIT: Duration = Duration::from_secs(60);
const LONG_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Longest log that is taken, in bytes.
const MAX_LOG_BYTES: usize = 4 * 1024 * 1024;

type Answered = Result<(Answer, Vec<OwnedFd>), SandboxError>;

/// The sandbox is not what it should be.
pub(super) fn foreign(attempted: &'static str) -> SandboxError {
    failure::lost(attempted, "the sandbox answered with something else than was asked")
}

fn nothing(attempted: &'static str, answered: Answered) -> Result<(), SandboxError> {
    match answered? {
        (Answer::Nothing, _) => Ok(()),
        _ => Err(foreign(attempted)),
    }
}

/// A TCP socket as the core uses it, non-blocking before tokio sees it; a descriptor of another kind is refused.
fn tcp_socket(attempted: &'static str, socket: OwnedFd, listens: bool) -> Result<OwnedFd, SandboxError> {
    let checked = || -> io::Result<bool> {
        let is_tcp = sockopt::socket_domain(&socket)? == AddressFamily::INET
            && sockopt::socket_type(&socket)? == SocketType::STREAM
            && sockopt::socket_acceptconn(&socket)? == listens;
        fcntl_setfl(&socket, fcntl_getfl(&socket)? | OFlags::NONBLOCK)?;
        Ok(is_tcp)
    };
    if checked().unwrap_or(false) { Ok(socket) } else { Err(foreign(attempted)) }
}

fn started(attempted: &'static str, answered: Answered) -> Result<StartedContainer, SandboxError> {
    let (Answer::Started { run, egress }, descriptors) = answered? else { return Err(foreign(attempted)) };
    let mut listeners = descriptors.into_iter().map(|listener| tcp_socket(attempted, listener, true));
    let listener = listeners.next().ok_or_else(|| foreign(attempted))??;
    let egress_listener = listeners.next().transpose()?;
    if egress_listener.is_some() == egress {
        Ok(StartedContainer { run: RunId(run), listener, egress_listener })
    } else {
        Err(foreign(attempted))
    }
}

/// Removes a run that nobody knows of; what cannot be removed now is found when the core next looks.
pub(super) async fn remove(shared: Arc<Shared>, run: RunId) {
    const ATTEMPTED: &str = "removing a container that nobody waited for";
    let asked = shared.ask(ATTEMPTED, LIMIT, Call::Remove { run: run.0.clone() }, Vec::new()).await;
    match nothing(ATTEMPTED, asked) {
        Ok(()) => _ = lock(&shared.runs).remove(&run),
        Err(error) => {
            tracing::warn!(%run, error = &error as &dyn std::error::Error, "a container is left over for now");
        }
    }
}

impl RemoteSandbox {
    /// Asks for what is answered with nothing.
    async fn order(&self, attempted: &'static str, limit: Duration, call: Call) -> Result<(), SandboxError> {
        nothing(attempted, self.shared.ask(attempted, limit, call, Vec::new()).await)
    }
}

pub(super) fn path(attempted: &'static str, path: &Path) -> Result<String, SandboxError> {
    request::text(path).map_err(|source| SandboxError::System { attempted, source })
}

impl Sandbox for RemoteSandbox {
    fn engine(&self) -> watch::Receiver<EngineState> {
        self.shared.engine.subscribe()
    }

    fn exits(&self) -> mpsc::UnboundedReceiver<ContainerExit> {
        lock(&self.shared.exits_receiver).take().unwrap_or_else(|| mpsc::unbounded_channel().1)
    }

    fn devices(&self) -> watch::Receiver<Arc<HostDevices>> {
        self.shared.devices.subscribe()
    }

    fn start(&self, spec: ContainerSpec) -> BoxFuture<'_, Result<StartedContainer, SandboxError>> {
        const ATTEMPTED: &str = "asking the sandbox for a container";
        Box::pin(async move {
            let wire = request::spec_to_wire(&spec);
            let (wire, descriptors) = wire.map_err(|source| SandboxError::System { attempted: ATTEMPTED, source })?;
            started(ATTEMPTED, self.shared.ask(ATTEMPTED, START_LIMIT, Call::Start(wire), descriptors).await)
        })
    }

    fn stop(&self, run: &RunId, grace: Duration) -> BoxFuture<'_, Result<(), SandboxError>> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let call = Call::Stop { run: run.0.clone(), grace_ms };
        Box::pin(self.order("asking the sandbox to stop a container", LIMIT.saturating_add(grace), call))
    }

    fn release_data(&self, module: &ModuleName, data_image: &Path) -> BoxFuture<'_, Result<(), SandboxError>> {
        const ATTEMPTED: &str = "asking the sandbox to release a module's data";
        let (module, image) = (module.to_string(), path(ATTEMPTED, data_image));
        Box::pin(async move { self.order(ATTEMPTED, LONG_LIMIT, Call::ReleaseData { module, image: image? }).await })
    }

    fn copy_data(&self, module: &ModuleName, from: &Path, to: &Path) -> BoxFuture<'_, Result<(), SandboxError>> {
        const ATTEMPTED: &str = "asking the sandbox to copy a module's data";
        let (module, from, to) = (module.to_string(), path(ATTEMPTED, from), path(ATTEMPTED, to));
        Box::pin(
            async move { self.order(ATTEMPTED, START_LIMIT, Call::CopyData { module, from: from?, to: to? }).await },
        )
    }

    fn remove(&self, run: &RunId) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(self.order("asking the sandbox to remove a container", LIMIT, Call::Remove { run: run.0.clone() }))
    }

    fn purge(&self, module: &ModuleName) -> BoxFuture<'_, Result<(), SandboxError>> {
        let call = Call::Purge { module: module.to_string() };
        Box::pin(self.order("asking the sandbox to remove all of a module", LONG_LIMIT, call))
    }

    fn prune_images(&self, module: &ModuleName, keep: &[Version]) -> BoxFuture<'_, Result<(), SandboxError>> {
        let keep = keep.iter().map(Version::to_string).collect();
        let call = Call::PruneImages { module: module.to_string(), keep };
        Box::pin(self.order("asking the sandbox to remove a module's old images", LONG_LIMIT, call))
    }

    fn image_owners(&self) -> BoxFuture<'_, Result<Vec<ModuleName>, SandboxError>> {
        const ATTEMPTED: &str = "asking the sandbox whose images there are";
        Box::pin(async {
            let answered = self.shared.ask(ATTEMPTED, LIMIT, Call::ImageOwners, Vec::new()).await?;
            let (Answer::Owners(names), _) = answered else { return Err(foreign(ATTEMPTED)) };
            names.into_iter().map(|name| name.parse().map_err(|_no_name| foreign(ATTEMPTED))).collect()
        })
    }

    fn disk_use(&self) -> BoxFuture<'_, Result<BTreeMap<String, EngineUse>, SandboxError>> {
        const ATTEMPTED: &str = "asking the sandbox what each module takes of the disk";
        Box::pin(async {
            let answered = self.shared.ask(ATTEMPTED, LONG_LIMIT, Call::DiskUse, Vec::new()).await?;
            let (Answer::DiskUse(list), _) = answered else { return Err(foreign(ATTEMPTED)) };
            let one = |disk: crate::message::ModuleDisk| {
                let crate::message::ModuleDisk { module, image_bytes, log_bytes, data_used_bytes } = disk;
                (module, EngineUse { image_bytes, log_bytes, data_used_bytes })
            };
            Ok(list.into_iter().map(one).collect())
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<ListedContainer>, SandboxError>> {
        const ATTEMPTED: &str = "asking the sandbox for the containers";
        Box::pin(async {
            let answered = self.shared.ask(ATTEMPTED, LIMIT, Call::List, Vec::new()).await?;
            let (Answer::Listed(list), _) = answered else { return Err(foreign(ATTEMPTED)) };
            let one = |listed: crate::message::Listed| {
                let crate::message::Listed { run, module, trial, running } = listed;
                ListedContainer { run: RunId(run), module, trial, running }
            };
            Ok(list.into_iter().map(one).collect())
        })
    }

    fn socket(&self, run: &RunId) -> BoxFuture<'_, Result<OwnedFd, SandboxError>> {
        const ATTEMPTED: &str = "asking the sandbox for a socket in a namespace";
        let call = Call::Socket { run: run.0.clone() };
        Box::pin(async move {
            let (Answer::Socket, descriptors) = self.shared.ask(ATTEMPTED, LIMIT, call, Vec::new()).await? else {
                return Err(foreign(ATTEMPTED));
            };
            tcp_socket(ATTEMPTED, descriptors.into_iter().next().ok_or_else(|| foreign(ATTEMPTED))?, false)
        })
    }

    fn usage(&self, run: &RunId) -> BoxFuture<'_, Result<RunUsage, SandboxError>> {
        const ATTEMPTED: &str = "asking the sandbox what a container used";
        let call = Call::Usage { run: run.0.clone() };
        Box::pin(async move {
            let (Answer::Usage(usage), _) = self.shared.ask(ATTEMPTED, LIMIT, call, Vec::new()).await? else {
                return Err(foreign(ATTEMPTED));
            };
            let crate::message::Usage { peak_memory_bytes, open_ports, peak_processes, programs } = usage;
            Ok(RunUsage { peak_memory_bytes, open_ports, peak_processes, programs })
        })
    }

    fn logs(
        &self,
        module: &ModuleName,
        purpose: ContainerPurpose,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<String, SandboxError>> {
        const ATTEMPTED: &str = "asking the sandbox for a module's log";
        let max_bytes = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        let call = Call::Logs { module: module.to_string(), trial: purpose == ContainerPurpose::Trial, max_bytes };
        Box::pin(async move {
            let (Answer::Logs { bytes }, descriptors) = self.shared.ask(ATTEMPTED, LIMIT, call, Vec::new()).await?
            else {
                return Err(foreign(ATTEMPTED));
            };
            let file = descriptors.into_iter().next().ok_or_else(|| foreign(ATTEMPTED))?;
            let text = big::read(file, bytes, MAX_LOG_BYTES).map_err(|_| foreign(ATTEMPTED))?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        })
    }
}
