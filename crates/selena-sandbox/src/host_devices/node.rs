//! From a path of a manifest to the device nodes that a container is made with.

use std::{
    fs,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::stat::{FileStat, Mode, SFlag, fstat, major, minor},
};
use selena_core::ports::{DeviceNumber, DeviceRefusal, HostDeviceKind};

use super::class;

/// How often a link that is being replaced at this moment is looked at again.
const ATTEMPTS: usize = 16;
/// What the group of a node, or everybody, needs: to read and to write.
const READ_WRITE: u32 = 0o6;

/// A device node that a module may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// The node itself, behind all links.
    pub(crate) on_host: PathBuf,
    /// Where the module finds it.
    pub(crate) in_container: String,
    /// What it is to the kernel.
    pub(crate) number: DeviceNumber,
    /// The group that may use it; `None` if everybody may.
    pub(crate) group: Option<u32>,
}

/// Why a path gives no node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Nothing is there: it is not plugged in.
    Absent,
    /// What is there is given to no module.
    Refused(DeviceRefusal),
}

impl Node {
    /// Whether it is there, and the device that it was.
    pub(crate) fn is_there(&self) -> bool {
        is_still(&self.on_host, self.number)
    }
}

impl Problem {
    fn never(path: &str, why: impl std::fmt::Display) -> Self {
        let detail = format!("`{path}` is given to no module: {why}");
        Self::Refused(DeviceRefusal { code: "manifest_device", detail })
    }
}

/// The nodes behind a path of a manifest, by device number; one, but for `/dev/snd`.
pub(crate) fn nodes(sysfs: &Path, path: &str) -> Result<Vec<Node>, Problem> {
    let kind = HostDeviceKind::of_path(path).ok_or_else(|| Problem::never(path, "no manifest may name such a path"))?;
    if kind == HostDeviceKind::Sound {
        return nodes_in(sysfs, kind, path);
    }
    Ok(vec![node(sysfs, kind, path)?])
}

/// The nodes of a directory. Those without a driver, which udev makes beforehand, are left out; if none is left, the
/// reason is the first one's.
fn nodes_in(sysfs: &Path, kind: HostDeviceKind, directory: &str) -> Result<Vec<Node>, Problem> {
    let mut found = Vec::new();
    let mut problem = Problem::Absent;
    for entry in fs::read_dir(directory).map_err(|_| Problem::Absent)?.flatten() {
        // Beside the nodes there are directories with links to them.
        let is_node = entry.file_type().is_ok_and(|kind| kind.is_char_device());
        let Some(name) = entry.file_name().to_str().filter(|_| is_node).map(str::to_owned) else { continue };
        match node(sysfs, kind, &format!("{directory}/{name}")) {
            Ok(node) => found.push(node),
            Err(reason) if problem == Problem::Absent => problem = reason,
            Err(_) => {}
        }
    }
    found.sort_by_key(|node| node.number);
    if found.is_empty() { Err(problem) } else { Ok(found) }
}

fn node(sysfs: &Path, kind: HostDeviceKind, path: &str) -> Result<Node, Problem> {
    let opened = open_beneath_dev(path)?;
    let stat = fstat(&opened).map_err(|error| Problem::never(path, error))?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFCHR {
        return Err(Problem::never(path, "it is no character device"));
    }
    let number = DeviceNumber { major: major(stat.st_rdev), minor: minor(stat.st_rdev) };
    class::check(sysfs, kind, number).map_err(|why| Problem::never(path, why))?;
    let on_host = fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    let on_host = on_host.map_err(|error| Problem::never(path, error))?;
    // It was removed meanwhile: that name is nobody's, or another device's.
    if !is_still(&on_host, number) {
        return Err(Problem::Absent);
    }
    let group = group(kind, path, &on_host, &stat)?;
    Ok(Node { on_host, in_container: path.to_owned(), number, group })
}

fn is_still(node: &Path, number: DeviceNumber) -> bool {
    let now = fs::symlink_metadata(node).map(|now| DeviceNumber { major: major(now.rdev()), minor: minor(now.rdev()) });
    now.is_ok_and(|now| now == number)
}

/// Opens what the path leads to without using it. The kernel itself refuses a link that leads out of `/dev`, or into
/// another file system that is mounted there.
fn open_beneath_dev(path: &str) -> Result<OwnedFd, Problem> {
    let refused = |error: Errno| Problem::never(path, error);
    let dev = open("/dev", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).map_err(refused)?;
    let below = path.strip_prefix("/dev/").ok_or_else(|| refused(Errno::EXDEV))?;
    let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    for _ in 0..ATTEMPTS {
        let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(beneath);
        match openat2(dev.as_fd(), below, how) {
            // Something was renamed while the kernel went up from a link's directory.
            Err(Errno::EAGAIN) => {}
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Err(Problem::Absent),
            Err(Errno::EXDEV | Errno::ELOOP) => return Err(Problem::never(path, "it leads out of /dev")),
            opened => return opened.map_err(refused),
        }
    }
    Err(Problem::Absent)
}

/// The group a module has to be in to use the node. Root's own is never given.
fn group(kind: HostDeviceKind, path: &str, on_host: &Path, stat: &FileStat) -> Result<Option<u32>, Problem> {
    let (of_group, of_others) = (stat.st_mode >> 3 & READ_WRITE, stat.st_mode & READ_WRITE);
    if of_others == READ_WRITE {
        return Ok(None);
    }
    if of_group == READ_WRITE && stat.st_gid != 0 {
        return Ok(Some(stat.st_gid));
    }
    let name = on_host.file_name().unwrap_or_default().to_string_lossy();
    let detail = format!(
        "`{path}` is open to no group but root's (mode {:04o}, group {}): add a udev rule such as \
         SUBSYSTEM==\"{}\", KERNEL==\"{name}\", GROUP=\"{}\", MODE=\"0660\"",
        stat.st_mode & 0o7777,
        stat.st_gid,
        class::subsystem(kind),
        class::usual_group(kind),
    );
    Err(Problem::Refused(DeviceRefusal { code: "device_access", detail }))
}
