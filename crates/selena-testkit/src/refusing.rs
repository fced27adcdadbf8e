//! Ports of the hub that nothing in a test of a module needs: they refuse.

use std::{fs::File, io, os::fd::OwnedFd, path::Path, sync::Arc};

use futures_util::future::{BoxFuture, ready};
use selena_core::BackupParts;
use selena_core::ports::{
    CallError, CopyError, DataVolumes, Dial, DialError, DialTarget, ImageProgram, ModuleAddress, ModuleAnswer,
    ModuleCalls, ModuleRequest, PackageError, PackageReader, RunId, SealError, Sealer, Store, StoreCopies,
    StoredSecret, UnpackedPackage, Vault, VaultError, VolumeError,
};
use selena_types::{ModuleName, Secret};

/// Opens no package.
#[derive(Debug)]
pub(crate) struct NoPackages;

impl PackageReader for NoPackages {
    fn unpack(&self, _zip: &File, _into: &Path) -> Result<UnpackedPackage, PackageError> {
        Err(none())
    }

    fn pack(&self, _package: &Path, _into: &File) -> Result<(), PackageError> {
        Err(none())
    }

    fn unpack_packed(&self, _zip: &File, _into: &Path) -> Result<UnpackedPackage, PackageError> {
        Err(none())
    }

    fn image_program(&self, _image: &File) -> Result<ImageProgram, PackageError> {
        Err(none())
    }

    fn flatten_image(&self, _image: &File, _into: &File) -> Result<Vec<String>, PackageError> {
        Err(none())
    }
}

fn none() -> PackageError {
    PackageError::Io(io::Error::other("a hub for tests installs no packages"))
}

/// Calls no module: each call is one that nobody answers in time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCalls;

impl ModuleCalls for NoCalls {
    fn call<'a>(
        &'a self,
        _address: &'a ModuleAddress,
        _request: ModuleRequest<'a>,
    ) -> BoxFuture<'a, Result<ModuleAnswer, CallError>> {
        Box::pin(ready(Err(CallError::Timeout)))
    }

    fn forget(&self, _run: &RunId) {}
}

/// What a hub that makes no backups works with.
#[must_use]
pub fn no_backups() -> BackupParts {
    BackupParts { copies: Arc::new(NoBackups), volumes: Arc::new(NoBackups), vault: Arc::new(NoVault) }
}

/// Copies no database, and reads no data.
#[derive(Debug)]
struct NoBackups;

impl StoreCopies for NoBackups {
    fn copy_into(&self, _dir: &Path) -> Result<(), CopyError> {
        Err(not_copied())
    }

    fn check(&self, _dir: &Path) -> Result<(), CopyError> {
        Err(not_copied())
    }

    fn open(&self, _dir: &Path) -> Result<Arc<dyn Store>, CopyError> {
        Err(not_copied())
    }

    fn finish(&self, _dir: &Path) -> Result<(), CopyError> {
        Err(not_copied())
    }
}

fn not_copied() -> CopyError {
    CopyError::Refused("a hub for tests makes no backups".to_owned())
}

impl DataVolumes for NoBackups {
    fn read_out<'a>(&'a self, _image: &'a Path, _into: OwnedFd) -> BoxFuture<'a, Result<(), VolumeError>> {
        Box::pin(ready(Err(VolumeError::Refused("a hub for tests makes no backups".to_owned()))))
    }

    fn fill<'a>(
        &'a self,
        _image: &'a Path,
        _mib: u32,
        _owner: u32,
        _from: OwnedFd,
    ) -> BoxFuture<'a, Result<(), VolumeError>> {
        Box::pin(ready(Err(VolumeError::Refused("a hub for tests makes no backups".to_owned()))))
    }
}

/// Keeps no secret.
#[derive(Debug)]
struct NoVault;

impl Vault for NoVault {
    fn read(&self, _module: &ModuleName, _provider: &str) -> Result<Option<StoredSecret>, VaultError> {
        Ok(None)
    }

    fn write(&self, _m: &ModuleName, _provider: &str, _counter: u64, _secret: &Secret) -> Result<(), VaultError> {
        Err(VaultError::TooLarge)
    }

    fn delete(&self, _module: &ModuleName, _provider: &str) -> Result<(), VaultError> {
        Ok(())
    }

    fn delete_module(&self, _module: &ModuleName) -> Result<(), VaultError> {
        Ok(())
    }

    fn places(&self) -> Result<Vec<(ModuleName, String)>, VaultError> {
        Ok(Vec::new())
    }

    fn is_changing_keys(&self) -> bool {
        false
    }

    fn begin_key_change(&self) -> Result<(), VaultError> {
        Err(VaultError::TooLarge)
    }

    fn end_key_change(&self) -> Result<(), VaultError> {
        Ok(())
    }
}

/// Opens no sealed secret.
#[derive(Debug)]
pub(crate) struct NoSealer;

impl Sealer for NoSealer {
    fn seal(&self, _context: &str, _secret: &[u8]) -> Result<Vec<u8>, SealError> {
        Err(SealError::NoRandomness)
    }

    fn open(&self, _context: &str, _sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        Err(SealError::Corrupt)
    }
}

/// Connects to nothing outside.
#[derive(Debug)]
pub(crate) struct NoDial;

impl Dial for NoDial {
    fn connect(&self, _target: DialTarget) -> BoxFuture<'_, Result<OwnedFd, DialError>> {
        Box::pin(ready(Err(DialError::Refused("a hub for tests connects to nothing outside".to_owned()))))
    }
}
