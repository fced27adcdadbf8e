//! The directory that is unpacked into. No path given to it, and no link put into it meanwhile, leads out of it.

use std::{
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::stat::{Mode, fchmod, mkdirat},
    unistd::{UnlinkatFlags, syncfs, unlinkat},
};

use crate::ZipError;

/// Mode of directories and of executable files.
const OPEN_MODE: Mode = Mode::from_bits_truncate(0o755);
/// Mode of other files.
const FILE_MODE: Mode = Mode::from_bits_truncate(0o644);

/// An open directory, and what was made below it.
#[derive(Debug)]
pub(crate) struct Staging {
    root: OwnedFd,
    made: Vec<Made>,
}

#[derive(Debug)]
struct Made {
    path: PathBuf,
    is_directory: bool,
}

impl Staging {
    /// Opens an existing directory.
    pub(crate) fn open(directory: &Path) -> Result<Self, ZipError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let root = open(directory, flags, Mode::empty());
        Ok(Self { root: root.map_err(|error| ZipError::io("open the staging directory", error))?, made: Vec::new() })
    }

    /// Makes a directory whose parent exists; that there is none of its name yet is part of the bargain.
    pub(crate) fn make_directory(&mut self, path: &str) -> Result<(), ZipError> {
        let doing = "make a directory";
        let path = Path::new(path);
        let name = path.file_name().ok_or_else(|| ZipError::io(doing, Errno::EINVAL))?;
        let parent = self.open_directory(path.parent().unwrap_or(Path::new("")), doing)?;
        mkdirat(&parent, name, OPEN_MODE).map_err(|error| ZipError::io(doing, error))?;
        self.made.push(Made { path: path.to_owned(), is_directory: true });
        // The umask may have taken bits away.
        let made = self.open_directory(path, doing)?;
        fchmod(&made, OPEN_MODE).map_err(|error| ZipError::io(doing, error))
    }

    /// Makes a file whose directory exists and opens it for writing.
    pub(crate) fn make_file(&mut self, path: &str, executable: bool) -> Result<File, ZipError> {
        let doing = "make a file";
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = self.openat(Path::new(path), flags, FILE_MODE, doing)?;
        self.made.push(Made { path: path.into(), is_directory: false });
        let mode = if executable { OPEN_MODE } else { FILE_MODE };
        fchmod(&file, mode).map_err(|error| ZipError::io(doing, error))?;
        Ok(file.into())
    }

    /// Makes everything durable. One `syncfs` does what 2000 `fsync`s would do, data and directory entries alike, and
    /// reports their errors, but waits for one journal commit instead of thousands.
    pub(crate) fn sync(&self) -> Result<(), ZipError> {
        syncfs(&self.root).map_err(|error| ZipError::io("make the unpacked package durable", error))
    }

    /// Removes what was made, last first, as far as that goes: the caller drops the directory anyway.
    pub(crate) fn clear(self) {
        for made in self.made.iter().rev() {
            let parent = made.path.parent().unwrap_or(Path::new(""));
            let flag = if made.is_directory { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
            if let (Some(name), Ok(parent)) = (made.path.file_name(), self.open_directory(parent, "clear")) {
                let _ = unlinkat(&parent, name, flag);
            }
        }
    }

    fn open_directory(&self, path: &Path, doing: &'static str) -> Result<OwnedFd, ZipError> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        self.openat(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty(), doing)
    }

    /// `openat2` that resolves below the root and through no link of any kind. There is no fallback: without it
    /// (Linux before 5.6, or a filter that hides it) nothing is unpacked.
    fn openat(&self, path: &Path, flags: OFlag, mode: Mode, doing: &'static str) -> Result<OwnedFd, ZipError> {
        let resolve =
            ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags).mode(mode).resolve(resolve);
        openat2(&self.root, path, how).map_err(|error| match error {
            Errno::ENOSYS => ZipError::io("unpack safely: the system call openat2 (Linux 5.6) is missing", error),
            _ => ZipError::io(doing, error),
        })
    }
}
