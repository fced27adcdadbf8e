//! A disk's file system, mounted by `mount` through a loop device that goes with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use nix::mount::{MntFlags, umount2};
use tempfile::NamedTempFile;

/// A mounted file system. Dropping it unmounts it.
#[derive(Debug)]
pub struct Mounted {
    at: PathBuf,
    /// What it lies on, if that is its own.
    _image: Option<NamedTempFile>,
}

impl Mounted {
    /// Mounts the ext4 in a file. A journal that needs it is replayed.
    pub(crate) fn new(file: &Path, image: Option<NamedTempFile>, at: &Path) -> io::Result<Self> {
        fs::create_dir_all(at)?;
        // A rename over a file, or a truncation, flushes nothing by itself on other file systems: so not here.
        let output =
            Command::new("mount").args(["-t", "ext4", "-o", "loop,noauto_da_alloc"]).arg(file).arg(at).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(Self { at: at.to_owned(), _image: image })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Writes all that is not written yet, on this disk and on those that lie in files of it.
    ///
    /// # Errors
    /// If the disk cannot be opened.
    pub fn sync(&self) -> io::Result<()> {
        // What lies in a file of this disk reaches it by the first.
        nix::unistd::sync();
        let root = fs::File::open(&self.at)?;
        nix::unistd::syncfs(root).map_err(io::Error::from)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if umount2(&self.at, MntFlags::empty()).is_err() {
            let _nothing_is_mounted = umount2(&self.at, MntFlags::MNT_DETACH);
        }
    }
}
