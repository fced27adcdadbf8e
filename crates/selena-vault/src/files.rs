//! The vault's files: `<secure>/tokens/<module>/<provider>.enc` (protocol, section 7).

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
};

use nix::errno::Errno;
use selena_core::ports::{SealError, StoredSecret, Vault, VaultError};
use selena_types::{ModuleName, Secret};

use crate::{
    key_ring::KeyRing,
    secure_file::{SecureDir, SecureFileError},
    token_file::{self, MAX_FILE_BYTES, MAX_SECRET_BYTES, Place},
};

const TOKENS: &str = "tokens";
const SUFFIX: &str = ".enc";

/// Secrets of modules in files of their own, each sealed to its place.
#[derive(Debug)]
pub struct FileVault {
    ring: Arc<KeyRing>,
    /// One writer at a time: a change of keys must not put an old token over a new one.
    writing: Mutex<()>,
}

impl FileVault {
    pub(crate) fn new(ring: Arc<KeyRing>) -> Self {
        Self { ring, writing: Mutex::default() }
    }

    /// `<secure>/tokens`, if it is there.
    fn tokens(&self) -> Result<Option<SecureDir>, SecureFileError> {
        SecureDir::open(self.ring.secure_dir())?.dir(TOKENS)
    }

    fn module_dir(&self, module: &ModuleName) -> Result<Option<SecureDir>, SecureFileError> {
        self.tokens()?.map_or(Ok(None), |tokens| tokens.dir(module.as_str()))
    }

    fn open(&self, dir: &SecureDir, place: Place<'_>) -> Result<Option<token_file::Opened>, VaultError> {
        let name = file_name(place.provider);
        let Some((file, size)) = dir.file(&name).map_err(refusal)? else { return Ok(None) };
        if size > MAX_FILE_BYTES {
            return Err(place.corrupt("it is larger than any secret"));
        }
        let bytes = dir.read(&name, file, MAX_FILE_BYTES).map_err(refusal)?;
        token_file::open(&self.ring, place, &bytes).map(Some)
    }

    fn put(&self, dir: &SecureDir, place: Place<'_>, counter: u64, secret: &[u8]) -> Result<(), VaultError> {
        let sealed = token_file::seal(&self.ring.newest(), place, counter, secret).map_err(VaultError::Seal)?;
        dir.replace(&file_name(place.provider), &sealed).map_err(refusal)
    }

    /// Seals every file again that an older key seals; each is at every moment readable with one of the keys (W05).
    fn reseal(&self) -> Result<(), VaultError> {
        for (module, provider) in self.places()? {
            let _writing = self.writing.lock().expect("nothing panics while it writes");
            let Some(dir) = self.module_dir(&module).map_err(refusal)? else { continue };
            let place = Place { module: &module, provider: &provider };
            match self.open(&dir, place) {
                Ok(Some(opened)) if opened.key != self.ring.newest().id => {
                    self.put(&dir, place, opened.counter, &opened.secret)?;
                }
                Ok(_) => {}
                // No key opens it, whichever is kept.
                Err(VaultError::Corrupt { .. } | VaultError::Locked { .. } | VaultError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Vault for FileVault {
    fn read(&self, module: &ModuleName, provider: &str) -> Result<Option<StoredSecret>, VaultError> {
        let Some(dir) = self.module_dir(module).map_err(refusal)? else { return Ok(None) };
        let place = Place { module, provider };
        let Some(opened) = self.open(&dir, place)? else { return Ok(None) };
        let counter = opened.counter;
        Ok(Some(StoredSecret { counter, secret: opened.into_secret(place)? }))
    }

    fn write(&self, module: &ModuleName, provider: &str, counter: u64, secret: &Secret) -> Result<(), VaultError> {
        if secret.expose().len() > MAX_SECRET_BYTES {
            return Err(VaultError::TooLarge);
        }
        let _writing = self.writing.lock().expect("nothing panics while it writes");
        let secure = SecureDir::open(self.ring.secure_dir()).map_err(refusal)?;
        let dir = secure.dir_or_new(TOKENS).and_then(|tokens| tokens.dir_or_new(module.as_str())).map_err(refusal)?;
        self.put(&dir, Place { module, provider }, counter, secret.expose().as_bytes())
    }

    fn delete(&self, module: &ModuleName, provider: &str) -> Result<(), VaultError> {
        let _writing = self.writing.lock().expect("nothing panics while it writes");
        let Some(dir) = self.module_dir(module).map_err(refusal)? else { return Ok(()) };
        let name = file_name(provider);
        dir.remove(&name).and_then(|_| dir.remove(&format!(".{name}.new"))).and_then(|_| dir.sync()).map_err(refusal)
    }

    fn delete_module(&self, module: &ModuleName) -> Result<(), VaultError> {
        let _writing = self.writing.lock().expect("nothing panics while it writes");
        let Some(tokens) = self.tokens().map_err(refusal)? else { return Ok(()) };
        let erase = || {
            if let Some(dir) = tokens.dir(module.as_str())? {
                for name in names(dir.path())? {
                    dir.remove(&name)?;
                }
                dir.sync()?;
            }
            tokens.remove_dir(module.as_str())?;
            tokens.sync()
        };
        erase().map_err(refusal)
    }

    fn places(&self) -> Result<Vec<(ModuleName, String)>, VaultError> {
        let Some(tokens) = self.tokens().map_err(refusal)? else { return Ok(Vec::new()) };
        let mut places = Vec::new();
        for module in names(tokens.path()).map_err(refusal)? {
            // What is no module's name was not put here by the hub, and is not looked into.
            let Ok(module) = ModuleName::new(&module) else { continue };
            let files = match tokens.dir(module.as_str()) {
                Ok(Some(dir)) => names(dir.path()).map_err(refusal)?,
                // Nothing in it would be read either.
                Ok(None) | Err(SecureFileError::Refused { .. }) => continue,
                // A disk that fails now may give it later: what cannot be seen must not count as absent.
                Err(error) => return Err(refusal(error)),
            };
            let providers =
                files.iter().filter_map(|name| name.strip_suffix(SUFFIX)).filter(|name| !name.starts_with('.'));
            places.extend(providers.map(|provider| (module.clone(), provider.to_owned())));
        }
        places.sort();
        Ok(places)
    }

    fn is_changing_keys(&self) -> bool {
        self.ring.is_changing()
    }

    fn begin_key_change(&self) -> Result<(), VaultError> {
        self.ring.begin_change().map_err(refusal)
    }

    fn end_key_change(&self) -> Result<(), VaultError> {
        self.reseal()?;
        self.ring.end_change().map_err(refusal)
    }
}

fn file_name(provider: &str) -> String {
    format!("{provider}{SUFFIX}")
}

fn names(dir: &Path) -> Result<Vec<String>, SecureFileError> {
    let read = || {
        let entries = fs::read_dir(dir)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<io::Result<Vec<_>>>()
    };
    read().map_err(SecureFileError::io("listing", dir))
}

fn refusal(error: SecureFileError) -> VaultError {
    match error {
        SecureFileError::Refused { file, reason } => VaultError::Refused { file, reason },
        SecureFileError::Io { source, .. } if source.raw_os_error() == Some(Errno::ENOSPC as i32) => {
            VaultError::DiskFull
        }
        SecureFileError::Io { attempted, file, source } => VaultError::Io { attempted, file, source },
        SecureFileError::NoRandomness(_) => VaultError::Seal(SealError::NoRandomness),
    }
}
