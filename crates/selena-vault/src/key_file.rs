//! The file the keys lie in: one key, or, while keys change, the new one and the one before.

use std::{io, path::Path};

use nix::{
    errno::Errno,
    fcntl::{RenameFlags, renameat2},
};
use zeroize::Zeroizing;

use crate::secure_file::{SecureDir, SecureFileError};

/// Bytes of an AES-256 key.
pub(crate) const KEY_BYTES: usize = 32;

/// Name of the key file within the secure directory.
const NAME: &str = "hub.key";

/// The keys, newest first, one after the other; wiped from memory when they are dropped.
pub(crate) type Keys = Zeroizing<Vec<u8>>;

/// Reads the keys of a secure directory, or makes one if there is none; whether it was made now.
///
/// Of several that start at once for the first time, one makes the key and all get that one.
pub(crate) fn read_or_create(secure_dir: &Path) -> Result<(Keys, bool), SecureFileError> {
    let dir = SecureDir::open(secure_dir)?;
    if let Some(keys) = read(&dir)? {
        return Ok((keys, false));
    }
    if let Some(key) = create(&dir)? {
        return Ok((key, true));
    }
    let gone = || SecureFileError::refused(&secure_dir.join(NAME), "it vanished while it was opened");
    read(&dir)?.map(|keys| (keys, false)).ok_or_else(gone)
}

/// Puts a new key before the one that is there.
pub(crate) fn add_new(secure_dir: &Path) -> Result<Keys, SecureFileError> {
    let (old, _) = read_or_create(secure_dir)?;
    let mut keys = Keys::new(Vec::with_capacity(2 * KEY_BYTES));
    keys.resize(KEY_BYTES, 0);
    random(&mut keys)?;
    keys.extend_from_slice(&old[..KEY_BYTES]);
    SecureDir::open(secure_dir)?.replace(NAME, &keys)?;
    Ok(keys)
}

/// Drops all keys but the newest.
pub(crate) fn keep_newest(secure_dir: &Path) -> Result<Keys, SecureFileError> {
    let (mut keys, _) = read_or_create(secure_dir)?;
    keys.truncate(KEY_BYTES);
    SecureDir::open(secure_dir)?.replace(NAME, &keys)?;
    Ok(keys)
}

/// The keys of the file; `None` if there is no such file.
fn read(dir: &SecureDir) -> Result<Option<Keys>, SecureFileError> {
    let Some((file, size)) = dir.file(NAME)? else { return Ok(None) };
    let refused = |size: u64| {
        let reason = format!("it has {size} bytes; it must have {KEY_BYTES}, or twice that while keys change");
        SecureFileError::refused(&dir.path().join(NAME), reason)
    };
    let sizes = [KEY_BYTES as u64, 2 * KEY_BYTES as u64];
    if !sizes.contains(&size) {
        return Err(refused(size));
    }
    let keys = dir.read(NAME, file, size)?;
    if keys.len() as u64 == size { Ok(Some(keys)) } else { Err(refused(keys.len() as u64)) }
}

/// Makes the key file with a new key, durably; `None` if another one made it first.
fn create(dir: &SecureDir) -> Result<Option<Keys>, SecureFileError> {
    let mut key = Keys::new(vec![0; KEY_BYTES]);
    random(&mut key)?;
    let mut suffix = [0; 8];
    random(&mut suffix)?;
    let temporary = format!(".{NAME}.{}", hex::encode(suffix));
    let placed = dir.write_new(&temporary, &key).and_then(|()| place(dir, &temporary));
    if !matches!(placed, Ok(true)) {
        // What came before is the error to tell; a file that stays here holds a key nobody uses.
        let _ = dir.remove(&temporary);
    }
    if !placed? {
        return Ok(None);
    }
    dir.sync()?;
    Ok(Some(key))
}

/// Gives the file its name, unless that name is taken. A rename, not a link: a key file never has two names.
fn place(dir: &SecureDir, temporary: &str) -> Result<bool, SecureFileError> {
    match renameat2(dir.fd(), temporary, dir.fd(), NAME, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(SecureFileError::io("placing the new key file", &dir.path().join(NAME))(errno)),
    }
}

fn random(bytes: &mut [u8]) -> Result<(), SecureFileError> {
    getrandom::fill(bytes).map_err(|error| SecureFileError::NoRandomness(io::Error::other(error.to_string())))
}
