//! Files that nobody but root may have written (S05).

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::geteuid};

/// Why such a file is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecureFileError {
    /// It is not there.
    #[error("{} is missing", .0.display())]
    Missing(PathBuf),
    /// It is there, and somebody else may have read or placed it.
    #[error("{} is refused: {reason}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The file system failed.
    #[error("{} cannot be read", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Who may read such a file besides its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its group at most: mode 0600 or 0640.
    Group,
    /// Everybody: mode 0644 too.
    All,
}

/// The bytes of a file of root (or of whoever runs this), at most `max_bytes`.
///
/// # Errors
/// [`SecureFileError`]: what [`open`] refuses, and what is longer.
pub(crate) fn read(path: &Path, readers: Readers, max_bytes: u64) -> Result<Vec<u8>, SecureFileError> {
    let file = open(path, readers)?;
    let mut bytes = Vec::new();
    let failed = |source| SecureFileError::Io { file: path.to_owned(), source };
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max_bytes {
        let reason = format!("it is too long; at most {max_bytes} bytes are read");
        return Err(SecureFileError::Refused { file: path.to_owned(), reason });
    }
    Ok(bytes)
}

/// Opens a file of root (or of whoever runs this).
///
/// # Errors
/// [`SecureFileError`]: a link, a pipe, a file with a second name, one that others may write or, unless that is meant, read.
pub(crate) fn open(path: &Path, readers: Readers) -> Result<File, SecureFileError> {
    // Without O_NONBLOCK, opening a pipe would wait for its other end.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SecureFileError::Missing(path.to_owned())),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => {
            let reason = "it is a symbolic link; it must be a regular file".to_owned();
            return Err(SecureFileError::Refused { file: path.to_owned(), reason });
        }
        Err(source) => return Err(SecureFileError::Io { file: path.to_owned(), source }),
    };
    check(&file, readers, path)?;
    Ok(file)
}

/// The open file is checked, not the path: what is checked is what is read.
fn check(file: &File, readers: Readers, path: &Path) -> Result<(), SecureFileError> {
    let metadata = file.metadata().map_err(|source| SecureFileError::Io { file: path.to_owned(), source })?;
    let refused = |reason: String| Err(SecureFileError::Refused { file: path.to_owned(), reason });
    if !metadata.is_file() {
        return refused("it must be a regular file".to_owned());
    }
    let mode = metadata.mode() & 0o7777;
    let (others, right) = match readers {
        Readers::Group => (0o7137, "0600 or 0640"),
        Readers::All => (0o7133, "0600, 0640 or 0644"),
    };
    if mode & others != 0 {
        return refused(format!("it has mode {mode:04o}; it must be {right}"));
    }
    if ![0, geteuid().as_raw()].contains(&metadata.uid()) {
        return refused(format!("its owner is user {}; it must be root", metadata.uid()));
    }
    if metadata.nlink() != 1 {
        return refused(format!("it has {} names; it must have one", metadata.nlink()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    #[test]
    fn s05_what_others_may_have_placed_is_refused_with_a_reason() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("f");
        let told = |readers| match read(&file, readers, 4) {
            Ok(bytes) => format!("{} bytes", bytes.len()),
            Err(error) => error.to_string(),
        };
        assert!(told(Readers::Group).ends_with("is missing"));
        fs::write(&file, "1234").expect("written");
        for (mode, readers, text) in [
            (0o600, Readers::Group, "4 bytes"),
            (0o640, Readers::Group, "4 bytes"),
            (0o644, Readers::All, "4 bytes"),
            (0o644, Readers::Group, "it has mode 0644; it must be 0600 or 0640"),
            (0o660, Readers::All, "it has mode 0660"),
            (0o700, Readers::All, "it has mode 0700"),
            (0o4600, Readers::All, "it has mode 4600"),
        ] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).expect("changed");
            assert!(told(readers).contains(text), "{mode:o}: {}", told(readers));
        }
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("changed");
        fs::write(&file, "12345").expect("written");
        assert!(told(Readers::Group).contains("it is too long; at most 4 bytes"));
        fs::write(&file, "1234").expect("written");
        fs::hard_link(&file, dir.path().join("second")).expect("linked");
        assert!(told(Readers::Group).contains("2 names"));
        fs::remove_file(&file).expect("removed");
        symlink("second", &file).expect("linked");
        assert!(told(Readers::Group).contains("symbolic link"));
        fs::remove_file(&file).expect("removed");
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRUSR).expect("made");
        assert!(told(Readers::Group).contains("regular file"), "and it does not wait for a writer");
    }
}
