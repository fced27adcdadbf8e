//! Ports of the hub that nothing in a test of a module needs: they refuse.

use std::{fs::File, io, os::fd::OwnedFd, path::Path};

use futures_util::future::{BoxFuture, ready};
use selena_core::ports::{
    Dial, DialError, DialTarget, ImageProgram, PackageError, PackageReader, SealError, Sealer, UnpackedPackage,
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
