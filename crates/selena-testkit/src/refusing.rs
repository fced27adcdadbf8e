//! Ports of the hub that nothing in a test of a module needs: they refuse.

use std::{fs::File, io, path::Path};

use selena_core::ports::{ImageProgram, PackageError, PackageReader, SealError, Sealer, UnpackedPackage};

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
