//! What is plugged in.

use std::{fs, path::Path};

use selena_core::ports::{HostDevice, HostDeviceKind, HostDevices};

use super::node::{Problem, nodes};

/// Where the devices lie that a manifest can name.
const DIRECTORIES: [&str; 4] = ["/dev", "/dev/serial/by-id", "/dev/serial/by-path", "/dev/v4l/by-id"];
/// Most devices that are looked at; a machine that has more is not a hub.
const MAX_DEVICES: usize = 512;

/// All devices that a manifest can name and that are there.
pub(crate) fn scan(sysfs: &Path) -> HostDevices {
    let entries = DIRECTORIES.iter().flat_map(|directory| fs::read_dir(directory).into_iter().flatten().flatten());
    let paths = entries.filter_map(|entry| entry.path().into_os_string().into_string().ok());
    let found = paths.filter_map(|path| {
        let kind = HostDeviceKind::of_path(&path)?;
        let numbers = match nodes(sysfs, &path) {
            Ok(nodes) => Ok(nodes.iter().map(|node| node.number).collect()),
            Err(Problem::Absent) => return None,
            Err(Problem::Refused(refusal)) => Err(refusal),
        };
        Some((path, HostDevice { kind, numbers }))
    });
    found.take(MAX_DEVICES).collect()
}
