//! Files that only this user may have read or placed (S05), and how they are written durably (W04).

use std::{
    fs::{File, Metadata, Permissions},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat, renameat},
    sys::stat::{Mode, mkdirat},
    unistd::{UnlinkatFlags, geteuid, unlinkat},
};
use zeroize::Zeroizing;

/// The only mode a secret's file may have.
const FILE_MODE: u32 = 0o600;

/// Why a file of the secure directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SecureFileError {
    /// It is there, and it is not safe to use it: somebody else may have read or placed it.
    #[error("the file {} is refused: {reason}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The file system failed.
    #[error("{attempted} {} failed", file.display())]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// With which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No random numbers could be had.
    #[error("the operating system gave no random numbers for a key")]
    NoRandomness(#[source] io::Error),
}

impl SecureFileError {
    pub(crate) fn refused(path: &Path, reason: impl Into<String>) -> Self {
        Self::Refused { file: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn io<E: Into<io::Error>>(attempted: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let file = path.to_owned();
        move |source| Self::Io { attempted, file, source: source.into() }
    }
}

/// A directory that is held open, so that no name above it can be exchanged between two steps.
#[derive(Debug)]
pub(crate) struct SecureDir {
    fd: OwnedFd,
    path: PathBuf,
}

impl SecureDir {
    /// Opens a directory whose owner and mode are its maker's choice.
    pub(crate) fn open(path: &Path) -> Result<Self, SecureFileError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::open(path, flags, Mode::empty()).map_err(SecureFileError::io("opening", path))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Where it lies, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a directory within, which must be this user's alone; `None` if there is none.
    pub(crate) fn dir(&self, name: &str) -> Result<Option<Self>, SecureFileError> {
        let path = self.path.join(name);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                return Err(SecureFileError::refused(&path, "it must be a directory, and no symbolic link"));
            }
            Err(errno) => return Err(SecureFileError::io("opening", &path)(errno)),
        };
        let dir = File::from(fd);
        let metadata = dir.metadata().map_err(SecureFileError::io("examining", &path))?;
        let (owner, mode, uid) = (metadata.uid(), metadata.mode() & 0o7777, geteuid().as_raw());
        if owner != uid || mode & 0o077 != 0 {
            let reason = format!("it is user {owner}'s with mode {mode:04o}; it must be user {uid}'s with mode 0700");
            return Err(SecureFileError::refused(&path, reason));
        }
        Ok(Some(Self { fd: dir.into(), path }))
    }

    /// Opens a directory within, and makes it, durably, if there is none.
    pub(crate) fn dir_or_new(&self, name: &str) -> Result<Self, SecureFileError> {
        let path = self.path.join(name);
        if let Some(dir) = self.dir(name)? {
            return Ok(dir);
        }
        match mkdirat(&self.fd, name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => self.sync()?,
            Err(errno) => return Err(SecureFileError::io("making the directory", &path)(errno)),
        }
        let vanished = || SecureFileError::refused(&path, "it vanished while it was made");
        self.dir(name)?.ok_or_else(vanished)
    }

    /// Makes what was changed in this directory survive a power cut.
    pub(crate) fn sync(&self) -> Result<(), SecureFileError> {
        nix::unistd::fsync(self.fd.as_fd()).map_err(SecureFileError::io("syncing the directory", &self.path))
    }

    /// Opens a file within that is this user's alone, and its size; `None` if there is none.
    pub(crate) fn file(&self, name: &str) -> Result<Option<(File, u64)>, SecureFileError> {
        let path = self.path.join(name);
        // Without O_NONBLOCK, opening a pipe would wait for its other end.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => {
                return Err(SecureFileError::refused(&path, "it is a symbolic link; it must be a regular file"));
            }
            Err(errno) => return Err(SecureFileError::io("opening", &path)(errno)),
        };
        // The open file is checked, not the path: what is checked is what is read.
        let metadata = file.metadata().map_err(SecureFileError::io("examining", &path))?;
        check(&metadata, geteuid().as_raw()).map_err(|reason| SecureFileError::refused(&path, reason))?;
        Ok(Some((file, metadata.len())))
    }

    /// Reads at most `limit` bytes of a file within; one that grew past that since it was opened is cut there.
    pub(crate) fn read(&self, name: &str, file: File, limit: u64) -> Result<Zeroizing<Vec<u8>>, SecureFileError> {
        // All the space at once: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(limit).unwrap_or(0)));
        let read = file.take(limit).read_to_end(&mut bytes);
        read.map_err(SecureFileError::io("reading", &self.path.join(name)))?;
        Ok(bytes)
    }

    /// Makes or replaces a file within: the old one or the new one is there at every moment (W04).
    /// One writer at a time for one name: the temporary file has a fixed one, so that a kill leaves at most one behind.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), SecureFileError> {
        let temporary = format!(".{name}.new");
        let written = self.write_new(&temporary, bytes).and_then(|()| {
            let path = self.path.join(name);
            renameat(&self.fd, temporary.as_str(), &self.fd, name).map_err(SecureFileError::io("placing", &path))
        });
        if written.is_err() {
            // What came before is the error to tell.
            let _ = self.remove(&temporary);
        }
        written?;
        self.sync()
    }

    /// Writes a file within that no reader looks for, and makes its content durable.
    pub(crate) fn write_new(&self, name: &str, bytes: &[u8]) -> Result<(), SecureFileError> {
        self.remove(name)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let write = || {
            let mut file = File::from(openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
            // The umask may have taken bits from the mode.
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(SecureFileError::io("writing", &self.path.join(name)))
    }

    /// Removes a file within; whether it was there. Durable only after [`SecureDir::sync`].
    pub(crate) fn remove(&self, name: &str) -> Result<bool, SecureFileError> {
        self.unlink(name, UnlinkatFlags::NoRemoveDir)
    }

    /// Removes an empty directory within; whether it was there.
    pub(crate) fn remove_dir(&self, name: &str) -> Result<bool, SecureFileError> {
        self.unlink(name, UnlinkatFlags::RemoveDir)
    }

    fn unlink(&self, name: &str, flags: UnlinkatFlags) -> Result<bool, SecureFileError> {
        match unlinkat(&self.fd, name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(SecureFileError::io("removing", &self.path.join(name))(errno)),
        }
    }

    /// The open directory, for calls that are not here.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }
}

/// Whether a file is ours alone (S05); else what is wrong with it.
fn check(metadata: &Metadata, uid: u32) -> Result<(), String> {
    let kind = metadata.file_type();
    let mode = metadata.mode() & 0o7777;
    if !kind.is_file() {
        let what = if kind.is_dir() {
            "a directory"
        } else if kind.is_fifo() {
            "a pipe"
        } else {
            "a special file"
        };
        return Err(format!("it is {what}; it must be a regular file"));
    }
    if metadata.uid() != uid {
        return Err(format!("it belongs to user {}; it must belong to user {uid}", metadata.uid()));
    }
    if mode != FILE_MODE {
        return Err(format!("its mode is {mode:04o}; it must be {FILE_MODE:04o}"));
    }
    if metadata.nlink() != 1 {
        return Err(format!("it has {} hard links; it must have one name only", metadata.nlink()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s05_a_file_of_another_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        SecureDir::open(dir.path()).unwrap().replace("a", b"x").unwrap();
        let metadata = dir.path().join("a").metadata().unwrap();
        assert_eq!(check(&metadata, metadata.uid()), Ok(()));
        let refusal = check(&metadata, metadata.uid() + 1).unwrap_err();
        assert!(refusal.starts_with("it belongs to user"), "{refusal}");
    }
}
