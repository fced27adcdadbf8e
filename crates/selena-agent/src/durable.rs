//! Files that are whole on the disk, old or new, whenever the power goes.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
};

/// Replaces a file: written beside it, made durable, renamed, and the directory made durable.
///
/// # Errors
/// What the file system says; the old file is untouched then.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let temporary = directory.join(format!(".{}.new", name.to_string_lossy()));
    // One that a killed agent, or somebody else, left there: it is never written through.
    remove_if_there(&temporary)?;
    let written = create(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // Of the two errors the first tells more.
        let _left = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_directory(directory)
}

/// Makes a file that must not be there yet, durably; its directory is not synced.
///
/// # Errors
/// What the file system says.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Makes a file, whole and durable, unless it is there; whether it was made now.
///
/// # Errors
/// What the file system says.
pub(crate) fn create_once(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let temporary = directory.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    remove_if_there(&temporary)?;
    create(&temporary, bytes, mode)?;
    match renameat2(AT_FDCWD, &temporary, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => sync_directory(directory).map(|()| true),
        Err(error) => {
            remove_if_there(&temporary)?;
            if error == Errno::EEXIST { Ok(false) } else { Err(error.into()) }
        }
    }
}

/// Removes a file if it is there.
///
/// # Errors
/// What the file system says.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Makes the names in a directory durable.
///
/// # Errors
/// What the file system says.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
