//! Files of the core, opened so that neither a link nor a rename leads root anywhere else.
//!
//! The core owns the data directory and may change it at any moment. What it names is therefore opened once, by the
//! kernel's own walk that follows no link and leaves the directory nowhere, and used by descriptor from then on.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::stat::{Mode, fstat},
};

/// How often a walk is begun again that something was renamed under.
const ATTEMPTS: usize = 16;

/// A file's name in a directory that is held open.
#[derive(Debug)]
pub(crate) struct Place {
    directory: OwnedFd,
    name: OsString,
}

impl Place {
    /// Finds the directory of `path`, which has to lie beneath `root`.
    pub(crate) fn find(root: &Path, path: &Path) -> io::Result<Self> {
        let below = below(root, path)?;
        let name = below.file_name().map(OsStr::to_owned).ok_or_else(|| outside(root, path))?;
        let parent = below.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory(root, parent.unwrap_or(Path::new(".")))?;
        Ok(Self { directory, name })
    }

    /// A path that leads to the name in that very directory, as long as this lives. The name itself may be a link.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.directory.as_raw_fd())).join(&self.name)
    }
}

/// Which file something is to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(file: impl AsFd) -> io::Result<Self> {
        let stat = fstat(file)?;
        Ok(Self { device: stat.st_dev, inode: stat.st_ino })
    }

    /// The directory at `path`, which has to lie beneath `root`.
    pub(crate) fn of_directory(root: &Path, path: &Path) -> io::Result<Self> {
        Self::of(directory(root, below(root, path)?)?)
    }
}

fn below<'a>(root: &Path, path: &'a Path) -> io::Result<&'a Path> {
    let below = path.strip_prefix(root).map_err(|_| outside(root, path))?;
    let is_plain = below.components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain && !below.as_os_str().is_empty() { Ok(below) } else { Err(outside(root, path)) }
}

fn outside(root: &Path, path: &Path) -> io::Error {
    let what = format!("`{}` does not lie beneath `{}`", path.display(), root.display());
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Opens a directory without using it. `root` itself is the operator's word, and may be a link.
fn directory(root: &Path, below: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open(root, flags, Mode::empty())?;
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    for _ in 0..ATTEMPTS {
        match openat2(root.as_fd(), below, OpenHow::new().flags(flags).resolve(resolve)) {
            Err(Errno::EAGAIN) => {}
            Err(Errno::ELOOP | Errno::EXDEV) => {
                let what = format!("`{}` leads over a link", below.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            opened => return Ok(opened?),
        }
    }
    Err(Errno::EAGAIN.into())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn only_what_lies_beneath_is_found_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        fs::create_dir_all(root.join("volumes")).unwrap();
        fs::create_dir(dir.path().join("other")).unwrap();
        symlink("../other", root.join("out")).unwrap();
        symlink("volumes", root.join("within")).unwrap();
        fs::write(root.join("volumes/x"), "here").unwrap();
        let read = |path: &str| Place::find(&root, &root.join(path)).and_then(|place| fs::read(place.path()));
        assert_eq!(read("volumes/x").unwrap(), b"here");
        for path in ["out/x", "within/x", "../other/x", "volumes/../volumes/x", "", "/etc/passwd", "volumes/./../x"] {
            let error = read(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}: {error}");
        }
        assert!(FileId::of_directory(&root, &root.join("out")).is_err());
        assert!(FileId::of_directory(&root, &root.join("volumes/x")).is_err(), "a file is no directory");
    }

    #[test]
    fn a_directory_that_is_swapped_for_a_link_stays_the_one_that_was_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        fs::create_dir_all(root.join("volumes")).unwrap();
        fs::write(root.join("volumes/x"), "the module's").unwrap();
        fs::write(dir.path().join("x"), "root's").unwrap();
        let before = FileId::of_directory(&root, &root.join("volumes")).unwrap();
        let place = Place::find(&root, &root.join("volumes/x")).unwrap();
        fs::rename(root.join("volumes"), root.join("moved")).unwrap();
        symlink(dir.path(), root.join("volumes")).unwrap();
        assert_eq!(fs::read(place.path()).unwrap(), b"the module's");
        assert_eq!(FileId::of_directory(&root, &root.join("moved")).unwrap(), before);
    }
}
