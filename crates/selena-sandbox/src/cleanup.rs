//! The end of containers, and of all that belongs to a module.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    errors::Error as DockerError,
    models::{ContainerSummary, ContainerSummaryStateEnum},
    query_parameters::{
        ListContainersOptions, ListImagesOptions, ListVolumesOptions, RemoveContainerOptions, RemoveImageOptions,
        RemoveVolumeOptions, StopContainerOptions, WaitContainerOptions,
    },
};
use futures_util::TryStreamExt;
use selena_core::ports::{ExitCause, ListedContainer, RunId, SandboxError};
use selena_types::ModuleName;
use semver::Version;

use crate::{
    config::{LABEL_HUB, LABEL_MODULE, LABEL_TRIAL},
    engine::REQUEST_LIMIT,
    failure, passwd,
    sandbox::Shared,
    start::blocking,
};

const LISTING: &str = "listing the hub's containers";
const LOOKING: &str = "looking whose the container is";
const LISTING_IMAGES: &str = "listing the hub's images";
const STOPPING: &str = "stopping the container";
const REMOVING: &str = "removing the container";
const REMOVING_VOLUMES: &str = "removing the module's volumes";
const REMOVING_IMAGES: &str = "removing the module's images";

impl Shared {
    /// SIGTERM, and SIGKILL after the grace.
    pub(crate) async fn stop(&self, run: &RunId, grace: Duration) -> Result<(), SandboxError> {
        self.check_own(run).await?;
        let secs = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let options = StopContainerOptions { signal: None, t: Some(i32::try_from(secs).unwrap_or(i32::MAX)) };
        let stop = |docker: Docker| async move { fine_if_gone(docker.stop_container(&run.0, Some(options)).await) };
        self.engine.ask_within(REQUEST_LIMIT.saturating_add(grace), STOPPING, stop).await
    }

    /// Kills and removes a container with its volume, and waits until it is gone.
    pub(crate) async fn remove(&self, run: &RunId) -> Result<(), SandboxError> {
        self.check_own(run).await?;
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        let remove = |docker: Docker| async move {
            match docker.remove_container(&run.0, Some(options)).await {
                // Somebody else removes it at this moment.
                Err(error) if failure::has_status(&error, 409) => wait_until_removed(&docker, run).await,
                removed => fine_if_gone(removed),
            }
        };
        self.engine.ask(REMOVING, remove).await?;
        self.parked.lock().await.retain(|(parked, _)| parked != run);
        self.runs.ended(run, ExitCause::Gone);
        Ok(())
    }

    /// Refuses a container of somebody else: the engine takes its name as well as its id. One that is gone is fine.
    async fn check_own(&self, run: &RunId) -> Result<(), SandboxError> {
        if self.runs.is_known(run) {
            return Ok(());
        }
        if run.0.len() != 64 || !run.0.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(failure::refused(LOOKING, "a run is named by 64 hex digits"));
        }
        let inspect = |docker: Docker| async move { docker.inspect_container(&run.0, None).await };
        let Some(found) = self.engine.ask_if_there(LOOKING, inspect).await? else { return Ok(()) };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        if labels.get(LABEL_HUB) == Some(&self.config.hub_id) {
            return Ok(());
        }
        Err(failure::refused(LOOKING, "the container belongs to somebody else"))
    }

    /// Removes this hub's container of that name, if there is one. Another hub's stays, and the name is taken.
    pub(crate) async fn remove_left_over(&self, name: &str) -> Result<(), SandboxError> {
        let inspect = |docker: Docker| async move { docker.inspect_container(name, None).await };
        let Some(found) = self.engine.ask_if_there(REMOVING, inspect).await? else { return Ok(()) };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        match found.id {
            Some(id) if labels.get(LABEL_HUB) == Some(&self.config.hub_id) => self.remove(&RunId(id)).await,
            _ => Err(failure::refused(
                REMOVING,
                format!(
                    "a container `{name}` of another hub is there: `docker rm --force {name}` removes it if that hub is gone"
                ),
            )),
        }
    }

    /// Removes all containers, volumes and images of a module.
    pub(crate) async fn purge(&self, module: &ModuleName) -> Result<(), SandboxError> {
        for container in self.containers(Some(module)).await? {
            if let Some(id) = container.id {
                self.remove(&RunId(id)).await?;
            }
        }
        self.remove_volumes(module).await?;
        self.remove_images(module, &[]).await?;
        let (state_dir, module) = (self.config.state_dir.clone(), module.clone());
        blocking("removing the module's user file", move || passwd::remove(&state_dir, &module)).await
    }

    /// Removes the volumes of a module that no container uses any more.
    pub(crate) async fn remove_volumes(&self, module: &ModuleName) -> Result<(), SandboxError> {
        let options = ListVolumesOptions { filters: Some(self.labels(Some(module))) };
        let list = |docker: Docker| async move { docker.list_volumes(Some(options)).await };
        for volume in self.engine.ask(REMOVING_VOLUMES, list).await?.volumes.unwrap_or_default() {
            let remove = |docker: Docker| async move {
                match docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await {
                    // A container uses it, which is not this call's to end.
                    Err(error) if failure::has_status(&error, 409) => Ok(()),
                    removed => fine_if_gone(removed),
                }
            };
            self.engine.ask(REMOVING_VOLUMES, remove).await?;
        }
        Ok(())
    }

    /// Removes the images of a module, but for those of the versions `keep`.
    pub(crate) async fn remove_images(&self, module: &ModuleName, keep: &[Version]) -> Result<(), SandboxError> {
        let keep: Vec<_> = keep.iter().map(|version| self.config.image(module, version)).collect();
        let filters = HashMap::from([("reference".to_owned(), vec![self.config.repository(module)])]);
        let options = ListImagesOptions { filters: Some(filters), ..ListImagesOptions::default() };
        let list = |docker: Docker| async move { docker.list_images(Some(options)).await };
        let images = self.engine.ask(REMOVING_IMAGES, list).await?;
        for tag in images.into_iter().flat_map(|image| image.repo_tags).filter(|tag| !keep.contains(tag)) {
            let remove = |docker: Docker| async move {
                // A container that has ended may still name it; that one is never started again.
                let options = RemoveImageOptions { force: true, ..RemoveImageOptions::default() };
                let removed = docker.remove_image(&tag, Some(options), None).await;
                fine_if_gone(removed.map(|_| ()))
            };
            self.engine.ask(REMOVING_IMAGES, remove).await?;
        }
        self.remove_nameless_images().await
    }

    /// Removes images of this hub that lost their name while a container ran from them, which is not there any more.
    async fn remove_nameless_images(&self) -> Result<(), SandboxError> {
        let Ok(_nothing_is_made) = self.importing.try_write() else { return Ok(()) };
        let mut filters = self.labels(None);
        filters.insert("dangling".to_owned(), vec!["true".to_owned()]);
        let options = ListImagesOptions { filters: Some(filters), ..ListImagesOptions::default() };
        let list = |docker: Docker| async move { docker.list_images(Some(options)).await };
        for image in self.engine.ask(LISTING_IMAGES, list).await? {
            let remove = |docker: Docker| async move {
                match docker.remove_image(&image.id, None::<RemoveImageOptions>, None).await {
                    // A container still runs from it.
                    Err(error) if failure::has_status(&error, 409) => Ok(()),
                    removed => fine_if_gone(removed.map(|_| ())),
                }
            };
            self.engine.ask(REMOVING_IMAGES, remove).await?;
        }
        Ok(())
    }

    /// The modules whose images bear this hub's label.
    pub(crate) async fn image_owners(&self) -> Result<Vec<ModuleName>, SandboxError> {
        let options = ListImagesOptions { filters: Some(self.labels(None)), ..ListImagesOptions::default() };
        let list = |docker: Docker| async move { docker.list_images(Some(options)).await };
        let images = self.engine.ask(LISTING_IMAGES, list).await?;
        let tags = images.iter().flat_map(|image| &image.repo_tags);
        Ok(tags.filter_map(|tag| self.config.image_owner(tag)).collect())
    }

    /// All containers of this hub.
    pub(crate) async fn list(&self) -> Result<Vec<ListedContainer>, SandboxError> {
        Ok(self.containers(None).await?.into_iter().filter_map(listed).collect())
    }

    /// All containers of this hub, as the engine lists them.
    pub(crate) async fn all_containers(&self) -> Result<Vec<ContainerSummary>, SandboxError> {
        self.containers(None).await
    }

    async fn containers(&self, module: Option<&ModuleName>) -> Result<Vec<ContainerSummary>, SandboxError> {
        let filters = Some(self.labels(module));
        let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
        self.engine.ask(LISTING, |docker| async move { docker.list_containers(Some(options)).await }).await
    }

    /// The filter for what belongs to this hub, and perhaps to one module of it.
    fn labels(&self, module: Option<&ModuleName>) -> HashMap<String, Vec<String>> {
        let mut labels = vec![self.config.hub_label()];
        labels.extend(module.map(|module| format!("{LABEL_MODULE}={}", module.as_str())));
        HashMap::from([("label".to_owned(), labels)])
    }
}

fn fine_if_gone(answer: Result<(), DockerError>) -> Result<(), DockerError> {
    match answer {
        Err(error) if failure::has_status(&error, 404) || failure::has_status(&error, 304) => Ok(()),
        answer => answer,
    }
}

async fn wait_until_removed(docker: &Docker, run: &RunId) -> Result<(), DockerError> {
    let options = WaitContainerOptions { condition: "removed".to_owned() };
    match docker.wait_container(&run.0, Some(options)).try_for_each(|_| async { Ok(()) }).await {
        // It tells the exit code too, as an error if it is not 0.
        Err(DockerError::DockerContainerWaitError { .. }) => Ok(()),
        ended => fine_if_gone(ended),
    }
}

fn listed(container: ContainerSummary) -> Option<ListedContainer> {
    let mut labels = container.labels.unwrap_or_default();
    Some(ListedContainer {
        run: RunId(container.id?),
        module: labels.remove(LABEL_MODULE).unwrap_or_default(),
        trial: labels.contains_key(LABEL_TRIAL),
        running: container.state == Some(ContainerSummaryStateEnum::RUNNING),
    })
}
