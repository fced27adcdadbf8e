//! Keys in files.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use selena_signature::{PrivateKey, PrivateKeyError, PublicKey, PublicKeyError};
use zeroize::Zeroizing;

/// Largest file that is read as a key, in bytes; a key has some hundred.
const MAX_BYTES: u64 = 16 * 1024;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    /// The file system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Others could have read it.
    #[error(
        "the private key {} can be read by others (mode {mode:04o}): it must be its owner's alone (`chmod 600`); if \
         others had access to it, make a new one", path.display()
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is a directory, a pipe or a device.
    #[error("{} is no file", path.display())]
    NoFile {
        /// What it was called.
        path: PathBuf,
    },
    /// The private key is none.
    #[error("{}", path.display())]
    Private {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PrivateKeyError,
    },
    /// The public key is none.
    #[error("{} is no public key", path.display())]
    Public {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PublicKeyError,
    },
    /// No key could be made.
    #[error(transparent)]
    Made(#[from] PrivateKeyError),
}

impl KeyFileError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// The private key of a file that is its owner's alone.
pub(crate) fn read_private(path: &Path) -> Result<PrivateKey, KeyFileError> {
    let file = open(path)?;
    // The open file is looked at, so that what is looked at is what is read.
    let mode = file.metadata().map_err(KeyFileError::io("read", path))?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Mode { path: path.to_owned(), mode });
    }
    let text = read(file, path)?;
    PrivateKey::from_pem(&text).map_err(|source| KeyFileError::Private { path: path.to_owned(), source })
}

/// A public key: its base64 itself, or the file that holds it.
pub(crate) fn public(text: &str) -> Result<PublicKey, KeyFileError> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    let text = read(open(path)?, path)?;
    text.parse().map_err(|source| KeyFileError::Public { path: path.to_owned(), source })
}

/// Writes a new private key, which only its owner may read, and beside it, with `.pub` at the end, its public half.
/// What is there is not overwritten.
pub(crate) fn write_new(key: &PrivateKey, path: &Path) -> Result<PathBuf, KeyFileError> {
    let mut public_path = path.as_os_str().to_owned();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    create(path, 0o600, key.to_pem().as_bytes())?;
    create(&public_path, 0o644, key.public().to_pem().as_bytes())?;
    Ok(public_path)
}

fn create(path: &Path, mode: u32, text: &[u8]) -> Result<(), KeyFileError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(KeyFileError::io("make", path))?;
    file.write_all(text).and_then(|()| file.sync_all()).map_err(KeyFileError::io("write", path))
}

fn open(path: &Path) -> Result<File, KeyFileError> {
    // Without O_NONBLOCK, opening a pipe would wait for its other end.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    let file = file.map_err(KeyFileError::io("open", path))?;
    let metadata = file.metadata().map_err(KeyFileError::io("read", path))?;
    if metadata.is_file() { Ok(file) } else { Err(KeyFileError::NoFile { path: path.to_owned() }) }
}

fn read(file: File, path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(KeyFileError::io("read", path))?;
    Ok(text)
}
