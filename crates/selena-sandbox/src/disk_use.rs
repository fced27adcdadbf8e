//! What each module uses of the engine's disk, so that a full one is told with its culprit.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use bollard::{Docker, query_parameters::ListImagesOptions};
use nix::sys::statvfs::statvfs;
use selena_core::{
    allocated_bytes,
    ports::{EngineUse, SandboxError},
};

use crate::{
    config::{LABEL_MODULE, LABEL_TRIAL},
    sandbox::Shared,
    start::blocking,
};

const MEASURING: &str = "measuring what modules use of the disk";
/// Where a module has its data, in its container.
const DATA: &str = "data";

impl Shared {
    /// By the module's name. Asks for each container: for people, not for a loop.
    pub(crate) async fn disk_use(&self) -> Result<BTreeMap<String, EngineUse>, SandboxError> {
        let mut uses = self.image_bytes().await?;
        for container in self.all_containers().await? {
            let (Some(id), labels) = (container.id, container.labels.unwrap_or_default()) else { continue };
            let Some(module) = labels.get(LABEL_MODULE) else { continue };
            let inspect = |docker: Docker| async move { docker.inspect_container(&id, None).await };
            // One that went meanwhile uses nothing any more.
            let Some(seen) = self.engine.ask_if_there(MEASURING, inspect).await? else { continue };
            let directory = seen.hostname_path.map(PathBuf::from).and_then(|path| Some(path.parent()?.to_owned()));
            let pid = seen.state.and_then(|state| state.pid).filter(|pid| *pid > 0);
            let measure = move || Ok((directory.map_or(0, |path| allocated_bytes(&path)), pid.and_then(data_used)));
            let (log_bytes, data_used_bytes) = blocking(MEASURING, measure).await?;
            let of_module = uses.entry(module.clone()).or_default();
            of_module.log_bytes += log_bytes;
            if !labels.contains_key(LABEL_TRIAL) && data_used_bytes.is_some() {
                of_module.data_used_bytes = data_used_bytes;
            }
        }
        Ok(uses)
    }

    /// Python modules have the hub's base under a name of their own: it is not theirs.
    async fn image_bytes(&self) -> Result<BTreeMap<String, EngineUse>, SandboxError> {
        let prefix = format!("{}selena-module-", self.config.name_prefix);
        let filters = HashMap::from([(
            "reference".to_owned(),
            vec![format!("{prefix}*"), self.config.python_base_image.clone()],
        )]);
        let options = ListImagesOptions { filters: Some(filters), ..ListImagesOptions::default() };
        let list = |docker: Docker| async move { docker.list_images(Some(options)).await };
        let images = self.engine.ask(MEASURING, list).await?;
        let mut uses = BTreeMap::<String, EngineUse>::new();
        for image in images.iter().filter(|image| !image.repo_tags.contains(&self.config.python_base_image)) {
            for module in image.repo_tags.iter().filter_map(|tag| tag.strip_prefix(&prefix)?.split(':').next()) {
                uses.entry(module.to_owned()).or_default().image_bytes += u64::try_from(image.size).unwrap_or(0);
            }
        }
        Ok(uses)
    }
}

/// What is full of the volume that a process of a container has at `/data`.
fn data_used(pid: i64) -> Option<u64> {
    let stat = statvfs(&Path::new("/proc").join(pid.to_string()).join("root").join(DATA)).ok()?;
    Some((stat.blocks() - stat.blocks_free()) * stat.fragment_size())
}
