//! The sandbox of a hub: what its parts share, and the core's port.

use std::{collections::BTreeMap, os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use selena_core::ports::{
    ContainerExit, ContainerPurpose, ContainerSpec, EngineState, EngineUse, HostDevices, ListedContainer, RunId,
    RunUsage, Sandbox, SandboxError, StartedContainer,
};
use selena_types::ModuleName;
use semver::Version;
use tokio::{
    sync::{Mutex, RwLock, mpsc, watch},
    task::JoinHandle,
};

use crate::{
    attaching::ImageLocks, config::SandboxConfig, engine::Engine, failure, host_devices, loop_device::LoopDevice,
    runs::Runs, sockets, supervisor,
};

/// What starting, ending and supervising containers have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: SandboxConfig,
    pub(crate) engine: Engine,
    pub(crate) runs: Arc<Runs>,
    /// Held while an image is looked for among the loop devices and attached to one.
    pub(crate) attaching: ImageLocks,
    /// Read while an image is made: the engine names it last, and until then it looks like one that lost its name.
    pub(crate) importing: RwLock<()>,
    /// Devices of containers that did not start in time and could not be removed yet.
    pub(crate) parked: Mutex<Vec<(RunId, LoopDevice)>>,
}

/// Modules in Docker containers.
#[derive(Debug)]
pub struct DockerSandbox {
    pub(crate) shared: Arc<Shared>,
    supervisor: JoinHandle<()>,
    devices: watch::Receiver<Arc<HostDevices>>,
}

impl DockerSandbox {
    /// Starts the tasks that follow Docker, which need not be there yet, and what is plugged in. Has to be called in a
    /// tokio runtime.
    #[must_use]
    pub fn new(config: SandboxConfig) -> Self {
        let engine = Engine::new(config.docker_socket.clone());
        // Looked at once before anything starts, so that no module starts without what is there.
        let (known, devices) = watch::channel(Arc::new(host_devices::scan(&config.sysfs)));
        tokio::spawn(host_devices::follow(config.sysfs.clone(), known));
        let shared = Arc::new(Shared {
            config,
            engine,
            runs: Arc::new(Runs::new()),
            attaching: ImageLocks::default(),
            importing: RwLock::default(),
            parked: Mutex::default(),
        });
        let supervisor = tokio::spawn(supervisor::supervise(Arc::clone(&shared)));
        Self { shared, supervisor, devices }
    }
}

impl Drop for DockerSandbox {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

impl Sandbox for DockerSandbox {
    fn engine(&self) -> watch::Receiver<EngineState> {
        self.shared.engine.state()
    }

    fn exits(&self) -> mpsc::UnboundedReceiver<ContainerExit> {
        self.shared.runs.exits()
    }

    fn devices(&self) -> watch::Receiver<Arc<HostDevices>> {
        self.devices.clone()
    }

    fn start(&self, spec: ContainerSpec) -> BoxFuture<'_, Result<StartedContainer, SandboxError>> {
        Box::pin(self.shared.start(spec))
    }

    fn stop(&self, run: &RunId, grace: Duration) -> BoxFuture<'_, Result<(), SandboxError>> {
        let run = run.clone();
        Box::pin(async move { self.shared.stop(&run, grace).await })
    }

    fn release_data(&self, module: &ModuleName, data_image: &Path) -> BoxFuture<'_, Result<(), SandboxError>> {
        let (module, data_image) = (module.clone(), data_image.to_owned());
        Box::pin(async move {
            let _alone = self.shared.attaching.of(&data_image).await;
            self.shared.release(&module, &data_image).await
        })
    }

    fn copy_data(&self, _module: &ModuleName, from: &Path, to: &Path) -> BoxFuture<'_, Result<(), SandboxError>> {
        let (from, to) = (from.to_owned(), to.to_owned());
        Box::pin(async move { self.shared.copy_data(&from, &to).await })
    }

    fn remove(&self, run: &RunId) -> BoxFuture<'_, Result<(), SandboxError>> {
        let run = run.clone();
        Box::pin(async move { self.shared.remove(&run).await })
    }

    fn purge(&self, module: &ModuleName) -> BoxFuture<'_, Result<(), SandboxError>> {
        let module = module.clone();
        Box::pin(async move { self.shared.purge(&module).await })
    }

    fn prune_images(&self, module: &ModuleName, keep: &[Version]) -> BoxFuture<'_, Result<(), SandboxError>> {
        let (module, keep) = (module.clone(), keep.to_vec());
        Box::pin(async move { self.shared.remove_images(&module, &keep).await })
    }

    fn image_owners(&self) -> BoxFuture<'_, Result<Vec<ModuleName>, SandboxError>> {
        Box::pin(self.shared.image_owners())
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<ListedContainer>, SandboxError>> {
        Box::pin(self.shared.list())
    }

    fn socket(&self, run: &RunId) -> BoxFuture<'_, Result<OwnedFd, SandboxError>> {
        let namespace = self.shared.runs.namespace(run);
        Box::pin(async move {
            let made = namespace?.run(sockets::unconnected).await;
            made.map_err(failure::system("making a socket in the container's network namespace"))
        })
    }

    fn usage(&self, run: &RunId) -> BoxFuture<'_, Result<RunUsage, SandboxError>> {
        let run = run.clone();
        Box::pin(async move { self.shared.usage(&run).await })
    }

    fn disk_use(&self) -> BoxFuture<'_, Result<BTreeMap<String, EngineUse>, SandboxError>> {
        Box::pin(self.shared.disk_use())
    }

    fn logs(
        &self,
        module: &ModuleName,
        purpose: ContainerPurpose,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<String, SandboxError>> {
        let module = module.clone();
        Box::pin(async move { self.shared.logs(&module, purpose, max_bytes).await })
    }
}
