//! Ports of the hub that nothing in a test of a module needs: they refuse.

use std::{fs::File, io, os::fd::OwnedFd, path::Path};

use futures_util::future::{BoxFuture, ready};
use selena_core::ports::{
    CallError, Dial, DialError, DialTarget, ImageProgram, ModuleAddress, ModuleAnswer, ModuleCalls, ModuleRequest,
    PackageError, PackageReader, RunId, SealError, Sealer, UnpackedPackage,
};

/// Opens no package.
#[derive(Debug)]
pub(crate) struct NoPackages;

impl PackageReader for NoPackages {
    fn unpack(&self, _zip: &File, _into: &Path) -> Result<UnpackedPackage, PackageError> {
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
