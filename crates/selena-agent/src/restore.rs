//! Restoring files from the copies, each checked before it is used.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, Permissions},
    io::{self, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, renameat},
    sys::stat::{Mode, mkdirat},
    unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, symlinkat, unlinkat},
};
use selena_manifest::{Digest, Entry, Hasher, Kind, WatchedPath};

use crate::{
    check::Checked,
    image::Root,
    look,
    places::Places,
    secure_file::{self, Readers},
    store::{self, Version},
};

/// Why a path was not restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// The file system failed.
    #[error("{attempted} failed{}", hint(source))]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No copy is what it should be.
    #[error("none of {copies} copies has the SHA-256 {expected}: restore it by hand, or make a new baseline")]
    NoGoodCopy {
        /// How many were tried.
        copies: usize,
        /// What it should have.
        expected: Digest,
    },
    /// It lies on a root that the kernel verifies.
    #[error("it lies on the verified root, which is never written: this slot is bad, boot the other one")]
    VerifiedRoot,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": free space on this file system",
        io::ErrorKind::ReadOnlyFilesystem => ": this file system is read-only",
        _ => "",
    }
}

fn io_error(attempted: &'static str) -> impl Fn(io::Error) -> RestoreError {
    move |source| RestoreError::Io { attempted, source }
}

fn errno(attempted: &'static str) -> impl Fn(Errno) -> RestoreError {
    move |error| RestoreError::Io { attempted, source: error.into() }
}

/// What came of a restoration.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What is as it should be again.
    pub(crate) restored: Vec<String>,
    /// Whether anything could not be restored.
    pub(crate) failed: bool,
    /// Whether something of that lies on the verified root.
    pub(crate) bad_slot: bool,
}

impl Outcome {
    fn note(&mut self, path: &Path, done: Result<(), RestoreError>) {
        let file = path.display();
        match done {
            Ok(()) => {
                tracing::warn!(%file, "restored");
                self.restored.push(path.display().to_string());
            }
            Err(error) => {
                self.failed = true;
                self.bad_slot |= matches!(error, RestoreError::VerifiedRoot);
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%file, %error, cause, "not restored");
            }
        }
    }
}

/// Restores all that a check found and nobody announced: what should not be there goes first, then the rest in the order
/// of paths, a directory before what lies in it.
pub(crate) fn restore(places: &Places, checked: &Checked, root: &Root) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(baseline) = &checked.baseline else { return outcome };
    let versions = store::versions(places).unwrap_or_else(|error| {
        tracing::error!(%error, "the copies cannot be listed");
        Vec::new()
    });
    let mut restorer = Restorer { versions, root, hasher: Hasher::default() };
    for (directory, entry) in baseline.entries() {
        if entry.kind == Kind::Directory {
            let stays = |path: &Path| {
                let announced = checked.notice.as_ref().is_some_and(|notice| notice.covers(&path.to_string_lossy()));
                announced || WatchedPath::from_path(path).is_ok_and(|path| baseline.entry(&path).is_some())
            };
            restorer.remove_unlisted(directory, stays, &mut outcome);
        }
    }
    for file in checked.report.files() {
        let watched = WatchedPath::new(&file).ok();
        if let Some((path, entry)) = watched.as_ref().and_then(|path| Some((path, baseline.entry(path)?))) {
            let done = restorer.put(path, entry, baseline.digest(path));
            outcome.note(path.as_path(), done);
        }
    }
    outcome
}

struct Restorer<'a> {
    versions: Vec<Version>,
    root: &'a Root,
    hasher: Hasher,
}

impl Restorer<'_> {
    fn remove_unlisted(&mut self, directory: &WatchedPath, stays: impl Fn(&Path) -> bool, outcome: &mut Outcome) {
        // One that is missing, or no directory, is put back below.
        let Ok(names) = look::names(directory.as_path()) else { return };
        for name in names {
            let path = directory.as_path().join(&name);
            if !stays(&path) {
                let done = self.parent(&path).and_then(|(parent, name)| remove(&parent, &name));
                outcome.note(&path, done);
            }
        }
    }

    /// Makes a path what it should be.
    fn put(&mut self, path: &WatchedPath, entry: &Entry, digest: Option<Digest>) -> Result<(), RestoreError> {
        let (parent, name) = self.parent(path.as_path())?;
        match (&entry.kind, digest) {
            (Kind::File { .. }, Some(digest)) => self.put_file(&parent, &name, entry, digest)?,
            (Kind::File { .. }, None) => return Err(RestoreError::NoGoodCopy { copies: 0, expected: Digest::of(b"") }),
            (Kind::Directory, _) => put_directory(&parent, &name, entry)?,
            (Kind::Symlink { target }, _) => put_link(&parent, &name, entry, target)?,
        }
        File::from(parent).sync_all().map_err(io_error("making the directory durable"))
    }

    /// The directory a path lies in, opened without following any link, and its name there.
    fn parent(&self, path: &Path) -> Result<(OwnedFd, OsString), RestoreError> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(errno("finding its directory")(Errno::EINVAL));
        };
        let parent =
            look::open(directory, OFlag::O_RDONLY | OFlag::O_DIRECTORY).map_err(errno("opening its directory"))?;
        if self.root.is_on(&parent) {
            return Err(RestoreError::VerifiedRoot);
        }
        Ok((parent, name.to_owned()))
    }

    fn put_file(&mut self, parent: &OwnedFd, name: &OsStr, entry: &Entry, digest: Digest) -> Result<(), RestoreError> {
        let temporary = temporary(name);
        let copies: Vec<_> = self.versions.iter().map(|version| version.copy(digest)).collect();
        for copy in &copies {
            remove_file(parent, &temporary)?;
            match self.copy(copy, parent, &temporary, digest) {
                Ok(Some(file)) => {
                    own(&file, entry)?;
                    file.sync_all().map_err(io_error("making the file durable"))?;
                    make_way(parent, name)?;
                    return renameat(parent, temporary.as_os_str(), parent, name).map_err(errno("putting it in place"));
                }
                Ok(None) => {}
                Err(error) => {
                    // The space it took is what may be missing.
                    remove_file(parent, &temporary)?;
                    return Err(error);
                }
            }
        }
        remove_file(parent, &temporary)?;
        Err(RestoreError::NoGoodCopy { copies: copies.len(), expected: digest })
    }

    /// Copies and hashes in one go; `None` if the copy is not what it should be.
    fn copy(
        &mut self,
        copy: &Path,
        parent: &OwnedFd,
        temporary: &OsStr,
        digest: Digest,
    ) -> Result<Option<File>, RestoreError> {
        let shown = copy.display();
        let mut source = match secure_file::open(copy, Readers::Group) {
            Ok(source) => source,
            Err(secure_file::SecureFileError::Missing(_)) => return Ok(None),
            Err(error) => {
                tracing::error!(copy = %shown, %error, "this copy is not taken: the next is tried");
                return Ok(None);
            }
        };
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(parent, temporary, flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(errno("making a file beside it"))?;
        let mut file = File::from(file);
        let mut written = Ok(());
        let hashed = self.hasher.hash(&mut source, |piece| {
            written = file.write_all(piece);
            written.as_ref().copied().map_err(|error| io::Error::from(error.kind()))
        });
        written.map_err(io_error("writing a file beside it"))?;
        match hashed {
            Ok(actual) if actual == digest => Ok(Some(file)),
            Ok(actual) => {
                tracing::error!(copy = %shown, expected = %digest, %actual, "this copy is corrupt: the next is tried");
                Ok(None)
            }
            Err(error) => {
                tracing::error!(copy = %shown, %error, "this copy cannot be read: the next is tried");
                Ok(None)
            }
        }
    }
}

/// The same each time, so that what a killed agent left is known.
fn temporary(name: &OsStr) -> OsString {
    let mut temporary = OsString::from(".selena-");
    // A name may be as long as the file system allows; its hash is not.
    temporary.push(&Digest::of(name.as_encoded_bytes()).to_string()[..32]);
    temporary
}

fn put_directory(parent: &OwnedFd, name: &OsStr, entry: &Entry) -> Result<(), RestoreError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = || openat(parent, name, flags, Mode::empty());
    let directory = match open() {
        Ok(directory) => directory,
        Err(_) => {
            remove(parent, name)?;
            mkdirat(parent, name, Mode::S_IRWXU).map_err(errno("making the directory"))?;
            open().map_err(errno("opening the directory"))?
        }
    };
    let directory = File::from(directory);
    own(&directory, entry)?;
    directory.sync_all().map_err(io_error("making the directory durable"))
}

fn put_link(parent: &OwnedFd, name: &OsStr, entry: &Entry, target: &str) -> Result<(), RestoreError> {
    let temporary = temporary(name);
    remove_file(parent, &temporary)?;
    symlinkat(target, parent, temporary.as_os_str()).map_err(errno("making the link"))?;
    let (uid, gid) = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
    fchownat(parent, temporary.as_os_str(), uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
        .map_err(errno("giving the link its owner"))?;
    make_way(parent, name)?;
    renameat(parent, temporary.as_os_str(), parent, name).map_err(errno("putting the link in place"))
}

/// The owner first: changing it takes set-user-id away.
fn own(file: &File, entry: &Entry) -> Result<(), RestoreError> {
    fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid))).map_err(errno("setting its owner"))?;
    file.set_permissions(Permissions::from_mode(entry.mode)).map_err(io_error("setting its mode"))
}

/// A directory cannot be renamed over.
fn make_way(parent: &OwnedFd, name: &OsStr) -> Result<(), RestoreError> {
    let path = beneath(parent, name);
    if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
        fs::remove_dir_all(&path).map_err(io_error("removing a directory in its place"))?;
    }
    Ok(())
}

/// Removes whatever is there; links are removed, not followed.
fn remove(parent: &OwnedFd, name: &OsStr) -> Result<(), RestoreError> {
    make_way(parent, name)?;
    remove_file(parent, name)
}

fn remove_file(parent: &OwnedFd, name: &OsStr) -> Result<(), RestoreError> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(errno("removing it")(error)),
    }
}

/// A path in the opened directory, wherever that is by now.
fn beneath(parent: &OwnedFd, name: &OsStr) -> PathBuf {
    Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(name)
}
