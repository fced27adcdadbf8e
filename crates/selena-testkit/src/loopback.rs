//! A sandbox without containers: a module's network namespace is the host's own.

use std::{collections::BTreeMap, os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, ready};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use selena_core::ports::{
    ContainerExit, ContainerPurpose, ContainerSpec, EngineState, EngineUse, HostDevices, ListedContainer, RunId,
    RunUsage, Sandbox, SandboxError, StartedContainer,
};
use selena_types::ModuleName;
use semver::Version;
use tokio::sync::{mpsc, watch};

/// A sandbox that knows one run, whose namespace is the host's, and refuses all that needs a container.
#[derive(Debug)]
pub struct LoopbackSandbox {
    run: RunId,
}

impl LoopbackSandbox {
    /// The sandbox of one run.
    #[must_use]
    pub fn new(run: RunId) -> Self {
        Self { run }
    }
}

fn refused<T: Send + 'static>(attempted: &'static str) -> BoxFuture<'static, Result<T, SandboxError>> {
    Box::pin(ready(Err(SandboxError::Engine { attempted, source: "a hub for tests has no containers".into() })))
}

impl Sandbox for LoopbackSandbox {
    fn engine(&self) -> watch::Receiver<EngineState> {
        watch::channel(EngineState::Down("a hub for tests has no containers".to_owned())).1
    }

    fn exits(&self) -> mpsc::UnboundedReceiver<ContainerExit> {
        mpsc::unbounded_channel().1
    }

    fn devices(&self) -> watch::Receiver<Arc<HostDevices>> {
        watch::channel(Arc::default()).1
    }

    fn start(&self, _spec: ContainerSpec) -> BoxFuture<'_, Result<StartedContainer, SandboxError>> {
        refused("starting a container")
    }

    fn stop(&self, _run: &RunId, _grace: Duration) -> BoxFuture<'_, Result<(), SandboxError>> {
        refused("stopping a container")
    }

    fn release_data(&self, _module: &ModuleName, _data_image: &Path) -> BoxFuture<'_, Result<(), SandboxError>> {
        Box::pin(async { Ok(()) })
    }

    fn copy_data(&self, _module: &ModuleName, _from: &Path, _to: &Path) -> BoxFuture<'_, Result<(), SandboxError>> {
        refused("copying a module's data")
    }

    fn remove(&self, _run: &RunId) -> BoxFuture<'_, Result<(), SandboxError>> {
        refused("removing a container")
    }

    fn purge(&self, _module: &ModuleName) -> BoxFuture<'_, Result<(), SandboxError>> {
        refused("removing a module's containers")
    }

    fn prune_images(&self, _module: &ModuleName, _keep: &[Version]) -> BoxFuture<'_, Result<(), SandboxError>> {
        refused("removing images")
    }

    fn image_owners(&self) -> BoxFuture<'_, Result<Vec<ModuleName>, SandboxError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<ListedContainer>, SandboxError>> {
        refused("listing containers")
    }

    fn socket(&self, run: &RunId) -> BoxFuture<'_, Result<OwnedFd, SandboxError>> {
        let made = if *run == self.run {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            socket(AddressFamily::Inet, SockType::Stream, flags, None)
                .map_err(|error| SandboxError::System { attempted: "making a socket", source: error.into() })
        } else {
            Err(SandboxError::RunEnded)
        };
        Box::pin(ready(made))
    }

    fn usage(&self, _run: &RunId) -> BoxFuture<'_, Result<RunUsage, SandboxError>> {
        refused("measuring a container")
    }

    fn disk_use(&self) -> BoxFuture<'_, Result<BTreeMap<String, EngineUse>, SandboxError>> {
        refused("measuring what modules use")
    }

    fn logs(
        &self,
        _module: &ModuleName,
        _purpose: ContainerPurpose,
        _max_bytes: usize,
    ) -> BoxFuture<'_, Result<String, SandboxError>> {
        refused("reading a container's log")
    }
}
