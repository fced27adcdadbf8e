//! The file the key lies in.

use std::{
    fs::{File, Metadata, OpenOptions, Permissions, remove_file},
    io::{self, Read, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2},
    unistd::geteuid,
};
use zeroize::Zeroizing;

/// Bytes of an AES-256 key.
pub(crate) const KEY_BYTES: usize = 32;

/// Name of the key file within the secure directory.
const NAME: &str = "hub.key";

/// The only mode a key file may have.
const MODE: u32 = 0o600;

/// A key; wiped from memory when it is dropped. In a box, so that passing it on leaves no copies on the stack.
pub(crate) type Key = Box<Zeroizing<[u8; KEY_BYTES]>>;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is there, and it is not safe to use it: somebody else may have read or placed it.
    #[error("the key file {} is refused: {reason}", file.display())]
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

/// Reads the key of a secure directory, or makes one if there is none; whether it was made now.
///
/// Of several that start at once for the first time, one makes the key and all get that one.
pub(crate) fn read_or_create(secure_dir: &Path) -> Result<(Key, bool), KeyFileError> {
    let file = secure_dir.join(NAME);
    if let Some(key) = read(&file)? {
        return Ok((key, false));
    }
    if let Some(key) = create(secure_dir, &file)? {
        return Ok((key, true));
    }
    let gone = || KeyFileError::Refused { file: file.clone(), reason: "it vanished while it was opened".to_owned() };
    read(&file)?.map(|key| (key, false)).ok_or_else(gone)
}

/// The key of the file; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Key>, KeyFileError> {
    // Without O_NONBLOCK, opening a pipe would wait for its other end.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => {
            return Err(refused(path, "it is a symbolic link; it must be a regular file".to_owned()));
        }
        Err(source) => return Err(failed("opening the key file", path)(source)),
    };
    // The open file is checked, not the path: what is checked is what is read.
    let metadata = file.metadata().map_err(failed("examining the key file", path))?;
    check(&metadata, geteuid().as_raw()).map_err(|reason| refused(path, reason))?;
    let mut key = Key::default();
    file.read_exact(key.as_mut_slice()).map_err(failed("reading the key file", path))?;
    Ok(Some(key))
}

/// Whether the key file is ours alone (S05); else what is wrong with it.
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
    if mode != MODE {
        return Err(format!("its mode is {mode:04o}; it must be {MODE:04o}"));
    }
    if metadata.nlink() != 1 {
        return Err(format!("it has {} hard links; it must have one name only", metadata.nlink()));
    }
    if metadata.len() != KEY_BYTES as u64 {
        return Err(format!("it has {} bytes; it must have {KEY_BYTES}", metadata.len()));
    }
    Ok(())
}

/// Makes the key file with a new key, durably; `None` if another one made it first.
fn create(secure_dir: &Path, path: &Path) -> Result<Option<Key>, KeyFileError> {
    let mut key = Key::default();
    random(key.as_mut_slice())?;
    let mut suffix = [0; 8];
    random(&mut suffix)?;
    let temporary = secure_dir.join(format!(".{NAME}.{}", hex::encode(suffix)));
    let placed = write(&temporary, &key).and_then(|()| place(&temporary, path));
    if !matches!(placed, Ok(true)) {
        // What came before is the error to tell; a file that stays here holds a key nobody uses.
        let _ = remove_file(&temporary);
    }
    if !placed? {
        return Ok(None);
    }
    let sync = || File::open(secure_dir)?.sync_all();
    sync().map_err(failed("syncing the secure directory", secure_dir))?;
    Ok(Some(key))
}

fn write(path: &Path, key: &Key) -> Result<(), KeyFileError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
        // The umask may have taken bits from the mode.
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.write_all(key.as_slice())?;
        file.sync_all()
    };
    write().map_err(failed("writing the new key", path))
}

/// Gives the file its name, unless that name is taken. A rename, not a link: a key file never has two names.
fn place(temporary: &Path, path: &Path) -> Result<bool, KeyFileError> {
    match renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(failed("placing the new key file", path)(errno.into())),
    }
}

fn random(bytes: &mut [u8]) -> Result<(), KeyFileError> {
    getrandom::fill(bytes).map_err(|error| KeyFileError::NoRandomness(io::Error::other(error.to_string())))
}

fn refused(path: &Path, reason: String) -> KeyFileError {
    KeyFileError::Refused { file: path.to_owned(), reason }
}

fn failed(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let file = path.to_owned();
    move |source| KeyFileError::Io { attempted, file, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s05_a_key_of_another_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        read_or_create(dir.path()).unwrap();
        let metadata = dir.path().join(NAME).metadata().unwrap();
        assert_eq!(check(&metadata, metadata.uid()), Ok(()));
        let refusal = check(&metadata, metadata.uid() + 1).unwrap_err();
        assert!(refusal.starts_with("it belongs to user"), "{refusal}");
    }
}
