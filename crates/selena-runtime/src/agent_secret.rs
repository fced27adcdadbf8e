//! The secret by which the core knows its integrity agent (protocol, sections 8.2 and 12).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2},
    unistd::geteuid,
};
use secrecy::SecretString;

/// Its name within the secure directory.
const NAME: &str = "agent.secret";
/// Random bytes of a new one.
const BYTES: usize = 32;
/// Longest file that is read.
const MAX_BYTES: u64 = 1024;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum AgentSecretError {
    /// The file is there, and it is not safe to use it.
    #[error("the agent's secret {} is refused: {reason}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The file system failed, or no random numbers could be had.
    #[error("{attempted} {} failed", file.display())]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// With which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The secret in `<secure>/agent.secret`, 64 hex digits; made, durably and with mode 0600, if there is none.
///
/// # Errors
/// [`AgentSecretError`]; a file that others may read or have placed is refused.
pub fn read_or_create(secure_dir: &Path) -> Result<SecretString, AgentSecretError> {
    let file = secure_dir.join(NAME);
    if let Some(secret) = read(&file)? {
        return Ok(secret);
    }
    create(secure_dir, &file).map_err(|source| AgentSecretError::Io {
        attempted: "making",
        file: file.clone(),
        source,
    })?;
    let gone = || refused(&file, "it vanished while it was opened");
    read(&file)?.ok_or_else(gone)
}

fn read(path: &Path) -> Result<Option<SecretString>, AgentSecretError> {
    // Without O_NONBLOCK, opening a pipe would wait for its other end.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let failed = |source| AgentSecretError::Io { attempted: "reading", file: path.to_owned(), source };
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    let own = [0, geteuid().as_raw()].contains(&metadata.uid());
    if !metadata.is_file() || !own || metadata.mode() & 0o037 != 0 || metadata.nlink() != 1 {
        return Err(refused(path, "it must be a regular file of root or of the hub, mode 0600 or 0640, with one name"));
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    let secret = text.trim_end();
    if secret.len() < BYTES {
        return Err(refused(path, "it is too short: delete it, and the hub makes a new one"));
    }
    Ok(Some(SecretString::from(secret)))
}

/// Of several that start at once for the first time, one makes the file and all read that one.
fn create(secure_dir: &Path, path: &Path) -> io::Result<()> {
    let mut bytes = [0; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let temporary = secure_dir.join(format!(".{NAME}.{}", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let renamed =
        written.and_then(|()| match renameat2(AT_FDCWD, &temporary, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => File::open(secure_dir)?.sync_all(),
            Err(nix::errno::Errno::EEXIST) => Ok(()),
            Err(error) => Err(error.into()),
        });
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => renamed.and(Err(error)),
        _ => renamed,
    }
}

fn refused(file: &Path, reason: &str) -> AgentSecretError {
    AgentSecretError::Refused { file: file.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn it_is_made_once_and_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let made = read_or_create(dir.path()).expect("made");
        assert_eq!(made.expose_secret().len(), 2 * BYTES);
        let again = read_or_create(dir.path()).expect("read");
        assert_eq!(made.expose_secret(), again.expose_secret());
        let names: Vec<_> =
            fs::read_dir(dir.path()).expect("listed").map(|entry| entry.expect("one").file_name()).collect();
        assert_eq!(names, [NAME], "nothing else is left");
        let mode = fs::metadata(dir.path().join(NAME)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn s05_a_file_that_others_may_read_or_placed_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join(NAME);
        read_or_create(dir.path()).expect("made");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("changed");
        assert!(matches!(read_or_create(dir.path()), Err(AgentSecretError::Refused { .. })), "mode 0644");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("changed");
        fs::hard_link(&file, dir.path().join("second")).expect("linked");
        assert!(matches!(read_or_create(dir.path()), Err(AgentSecretError::Refused { .. })), "a second name");
        fs::rename(dir.path().join("second"), dir.path().join("target")).expect("moved");
        fs::remove_file(&file).expect("removed");
        symlink(dir.path().join("target"), &file).expect("linked");
        assert!(matches!(read_or_create(dir.path()), Err(AgentSecretError::Io { .. })), "a link");
        fs::remove_file(&file).expect("removed");
        fs::write(&file, "").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("changed");
        assert!(matches!(read_or_create(dir.path()), Err(AgentSecretError::Refused { .. })), "empty");
    }
}
