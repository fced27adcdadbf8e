//! The devices a container is given: found before it is made, and looked at again in it before its module runs.

use std::{os::unix::fs::MetadataExt, path::PathBuf};

use nix::sys::stat::{major, minor};
use selena_core::ports::{DeviceGrant, DeviceNumber, RunId, SandboxError};

use crate::{
    engine::Engine,
    host_devices::{self, Node},
    placing,
    start::blocking,
};

const LOOKING: &str = "looking at the devices that the container was given";

/// The nodes behind what was granted, if it is still what was granted.
pub(crate) async fn nodes(sysfs: &std::path::Path, grants: &[DeviceGrant]) -> Result<Vec<Node>, SandboxError> {
    let (sysfs, grants) = (sysfs.to_owned(), grants.to_vec());
    let found = blocking(LOOKING, move || {
        let nodes = grants.into_iter().map(|grant| {
            let nodes = host_devices::nodes(&sysfs, &grant.path).unwrap_or_default();
            let as_granted = nodes.iter().map(|node| node.number).eq(grant.numbers.iter().copied());
            if as_granted { Ok(nodes) } else { Err(grant.path) }
        });
        Ok(nodes.collect::<Result<Vec<_>, _>>())
    });
    let nodes = found.await?.map_err(SandboxError::DeviceChanged)?;
    Ok(nodes.into_iter().flatten().collect())
}

/// Makes sure that the container holds the very devices: the engine looked at the paths once more, and between that and
/// `nodes` one stick can have been swapped for another. Its init still waits for the hub, so no module runs yet.
pub(crate) async fn verify(engine: &Engine, run: &RunId, nodes: &[Node]) -> Result<(), SandboxError> {
    if nodes.is_empty() {
        return Ok(());
    }
    let root = PathBuf::from(format!("/proc/{}/root", placing::first_process(engine, run).await?));
    for node in nodes {
        let inside = root.join(node.in_container.trim_start_matches('/'));
        let seen = blocking(LOOKING, move || inside.symlink_metadata()).await;
        let number = seen.map(|seen| DeviceNumber { major: major(seen.rdev()), minor: minor(seen.rdev()) });
        match number {
            Ok(number) if number == node.number => {}
            // A run that ended takes its root along; then that is the reason.
            Err(_) if placing::first_process(engine, run).await.is_err() => return Err(SandboxError::RunEnded),
            _ => return Err(SandboxError::DeviceChanged(node.in_container.clone())),
        }
    }
    Ok(())
}

/// The reason why a container was not started: the engine fails if a device is pulled out while it makes the container.
pub(crate) async fn reason(nodes: &[Node], error: SandboxError) -> SandboxError {
    let nodes = nodes.to_vec();
    let gone = blocking(LOOKING, move || Ok(nodes.into_iter().find(|node| !node.is_there()))).await;
    match gone {
        Ok(Some(node)) => SandboxError::DeviceChanged(node.in_container),
        _ => error,
    }
}
