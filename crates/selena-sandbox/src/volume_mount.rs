//! A data image, mounted nowhere: its files are reached by a descriptor, and the mount goes with that. A hub that is
//! killed leaves no mount behind.

use std::{fs::File, io, os::fd::OwnedFd, path::Path};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

use crate::loop_device::LoopDevice;

/// A mounted data image.
#[derive(Debug)]
pub(crate) struct VolumeMount {
    /// Dropped before the device, which is busy as long as it is mounted.
    root: OwnedFd,
    _device: LoopDevice,
}

impl VolumeMount {
    /// Mounts an image that nothing else has mounted. No program of it can be run, and no device of it opened.
    pub(crate) fn new(image: &File, read_only: bool) -> io::Result<Self> {
        let device = LoopDevice::attach(image)?;
        let root = mount(device.path(), read_only)?;
        Ok(Self { root, _device: device })
    }

    /// Its top directory.
    pub(crate) fn root(&self) -> &OwnedFd {
        &self.root
    }
}

fn mount(device: &Path, read_only: bool) -> io::Result<OwnedFd> {
    let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", device)?;
    if read_only {
        fsconfig_set_flag(&context, "ro")?;
    }
    fsconfig_create(&context)?;
    let closed = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, closed)?)
}
