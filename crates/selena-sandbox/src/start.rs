//! The start of a container, step by step; what a failed step leaves is removed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{
    Docker,
    query_parameters::{CreateContainerOptions, StartContainerOptions},
};
use selena_core::ports::{Command, ContainerSpec, RunId, SandboxError, StartedContainer};
use selena_types::ModuleName;
use tokio::{task::spawn_blocking, time::Instant};

use crate::{
    beneath::{FileId, Place},
    container::{self, HostParts},
    data_image, failure, granted,
    host_devices::Node,
    images,
    loop_device::{self, LoopDevice},
    package, passwd, placing,
    runs::PendingRun,
    sandbox::Shared,
    validation,
};

const DATA: &str = "preparing the data volume";
const COPYING: &str = "copying the module's data";
const CREATING: &str = "creating the container";
const STARTING: &str = "starting the container";
/// How long a device may stay busy after its volume was removed: udev looks at devices that change.
const RELEASE_LIMIT: Duration = Duration::from_secs(3);
const RELEASE_LOOK: Duration = Duration::from_millis(20);

impl Shared {
    /// Makes and starts a container, with the hub's listeners in it.
    pub(crate) async fn start(&self, spec: ContainerSpec) -> Result<StartedContainer, SandboxError> {
        validation::check(&self.config, &spec)?;
        let name = self.config.container_name(spec.purpose, &spec.module);
        self.remove_left_over(&name).await?;
        let image = {
            let _importing = self.importing.read().await;
            images::ensure(&self.engine, &self.config, &spec).await?
        };
        let passwd = self.passwd_file(&spec).await?;
        let nodes = granted::nodes(&self.config.sysfs, &spec.devices).await?;
        let package = package::find(&self.config, &spec).await?;
        let data = self.attach_data(&spec).await?;
        let parts = HostParts { image: &image, data_device: data.path(), passwd: passwd.as_deref(), nodes: &nodes };
        let pending = self.create(&name, &spec, parts).await?;
        let run = pending.id().clone();
        // The device is kept until the container has mounted it, or else it would let go of the image.
        match self.launch(pending, &data, &nodes, &spec, package).await {
            Ok(started) => Ok(started),
            // Its log says why; the container goes with the next start or with the module.
            Err(SandboxError::RunEnded) => Err(SandboxError::RunEnded),
            Err(error) => {
                if let Err(left) = self.remove(&run).await {
                    tracing::warn!(%run, error = &left as &dyn std::error::Error, "a container that did not start is left over");
                    // The engine may still start it: until it is gone the device must not become another module's.
                    self.parked.lock().await.push((run, data));
                }
                Err(error)
            }
        }
    }

    async fn launch(
        &self,
        pending: PendingRun,
        _data: &LoopDevice,
        nodes: &[Node],
        spec: &ContainerSpec,
        package: FileId,
    ) -> Result<StartedContainer, SandboxError> {
        let id = &pending.id().0;
        let start = |docker: Docker| async move { docker.start_container(id, None::<StartContainerOptions>).await };
        if let Err(error) = self.engine.ask(STARTING, start).await {
            return Err(granted::reason(nodes, error).await);
        }
        granted::verify(&self.engine, pending.id(), nodes).await?;
        package::verify(&self.engine, pending.id(), spec, package).await?;
        let (listeners, namespace) = placing::place(&self.engine, pending.id(), spec.egress).await?;
        let run = pending.hand_out(namespace)?;
        Ok(StartedContainer { run, listener: listeners.hub, egress_listener: listeners.egress })
    }

    async fn create(&self, name: &str, spec: &ContainerSpec, parts: HostParts<'_>) -> Result<PendingRun, SandboxError> {
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        let body = container::configuration(&self.config, spec, parts);
        let create = |docker: Docker| async move { docker.create_container(Some(options), body).await };
        let created = self.engine.ask(CREATING, create).await?;
        for warning in &created.warnings {
            tracing::warn!(module = spec.module.as_str(), warning, "the engine does not hold all limits");
        }
        Ok(self.runs.begin(RunId(created.id)))
    }

    /// The user file that is mounted where the image was not made for this user alone.
    async fn passwd_file(&self, spec: &ContainerSpec) -> Result<Option<PathBuf>, SandboxError> {
        if matches!(spec.command, Command::Static(_)) {
            return Ok(None);
        }
        let (state_dir, module, uid) = (self.config.state_dir.clone(), spec.module.clone(), spec.uid);
        blocking("writing the module's user file", move || passwd::write(&state_dir, &module, uid)).await.map(Some)
    }

    /// The data volume as a block device. An image that is attached already is first freed from what the module left.
    async fn attach_data(&self, spec: &ContainerSpec) -> Result<LoopDevice, SandboxError> {
        let _alone = self.attaching.of(&spec.data_image).await;
        self.release(&spec.module, &spec.data_image).await?;
        let (image, size_mb, owner) = (spec.data_image.clone(), spec.resources.data_mb, spec.uid);
        let root = self.config.data_dir.clone();
        blocking(DATA, move || {
            let place = Place::find(&root, &image)?;
            LoopDevice::attach(&data_image::open_or_make(&place.path(), size_mb, owner)?)
        })
        .await
    }

    /// Copies an image that nothing has attached to a file that is made for it.
    pub(crate) async fn copy_data(&self, from: &Path, to: &Path) -> Result<(), SandboxError> {
        let _alone = self.attaching.of(from).await;
        if let Some(device) = self.device_of(from).await? {
            return Err(failure::refused(COPYING, format!("{} is in use as {}", from.display(), device.display())));
        }
        let (root, from, to) = (self.config.data_dir.clone(), from.to_owned(), to.to_owned());
        blocking(COPYING, move || {
            let (from, to) = (Place::find(&root, &from)?, Place::find(&root, &to)?);
            data_image::copy(&from.path(), &to.path())
        })
        .await
    }

    /// Frees an image from what its module left; called with its lock of `attaching` held.
    pub(crate) async fn release(&self, module: &ModuleName, image: &Path) -> Result<(), SandboxError> {
        let Some(device) = self.device_of(image).await? else { return Ok(()) };
        tracing::info!(module = module.as_str(), device = %device.display(), "the data volume is still attached");
        self.remove_volumes(module).await?;
        self.wait_for_release(image).await
    }

    /// Nothing tells of a loop device that lets go, so this looks again and again until it did.
    pub(crate) async fn wait_for_release(&self, image: &Path) -> Result<(), SandboxError> {
        let deadline = Instant::now() + RELEASE_LIMIT;
        let mut looks = tokio::time::interval(RELEASE_LOOK);
        loop {
            looks.tick().await;
            let Some(device) = self.device_of(image).await? else { return Ok(()) };
            if Instant::now() > deadline {
                return Err(failure::refused(
                    DATA,
                    format!("{} is in use as {} by something else", image.display(), device.display()),
                ));
            }
        }
    }

    pub(crate) async fn device_of(&self, image: &Path) -> Result<Option<PathBuf>, SandboxError> {
        let (root, image) = (self.config.data_dir.clone(), image.to_owned());
        blocking(DATA, move || match Place::find(&root, &image) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            place => loop_device::device_of(&place?.path()),
        })
        .await
    }
}

/// Does work with the file system in a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    attempted: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SandboxError> {
    let done = spawn_blocking(work).await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
    done.map_err(failure::system(attempted))
}
