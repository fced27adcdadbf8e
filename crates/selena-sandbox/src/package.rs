//! The package a container is made with: found before, and looked at again in the container before its module runs.
//!
//! The engine mounts it by path, and whoever owns the data directory can put something else there in between. The init
//! waits for the hub until the listener is handed out, so no program of the module runs before this look.

use std::{io, path::PathBuf};

use selena_core::ports::{ContainerSpec, RunId, SandboxError};

use crate::{beneath::FileId, config::SandboxConfig, engine::Engine, failure, placing, start::blocking};

const LOOKING: &str = "looking at the package that the container was given";

/// The directory of the package, beneath the hub's own.
pub(crate) async fn find(config: &SandboxConfig, spec: &ContainerSpec) -> Result<FileId, SandboxError> {
    let (root, package) = (config.data_dir.clone(), spec.package_dir.clone());
    blocking(LOOKING, move || FileId::of_directory(&root, &package)).await
}

/// Makes sure that the container has that very directory.
pub(crate) async fn verify(
    engine: &Engine,
    run: &RunId,
    spec: &ContainerSpec,
    package: FileId,
) -> Result<(), SandboxError> {
    let root = PathBuf::from(format!("/proc/{}/root", placing::first_process(engine, run).await?));
    let inside = root.join(spec.command.install_path().trim_start_matches('/'));
    match blocking(LOOKING, move || FileId::of_directory(&root, &inside)).await {
        Ok(seen) if seen == package => Ok(()),
        // A run that ended takes its root along; then that is the reason.
        Err(_) if placing::first_process(engine, run).await.is_err() => Err(SandboxError::RunEnded),
        Ok(_) => Err(failure::refused(LOOKING, "it was exchanged while the container was started")),
        Err(SandboxError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(SandboxError::RunEnded)
        }
        Err(error) => Err(error),
    }
}
