//! Ports whose implementation knows nothing of the core.

use std::{fs::File, path::Path};

use selena_core::ports::{PackageError, PackageReader, UnpackedPackage};
use selena_package::{Limits, Unpacked, ZipError, unpack};

/// Packages as `selena-package` reads them.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    limits: Limits,
}

impl PackageReader for Packages {
    fn unpack(&self, zip: &File, into: &Path) -> Result<UnpackedPackage, PackageError> {
        match unpack(zip, into, &self.limits) {
            Ok(Unpacked { manifest, signature, files }) => Ok(UnpackedPackage { manifest, signature, files }),
            Err(ZipError::DiskFull) => Err(PackageError::DiskFull),
            Err(ZipError::Io { source, .. }) => Err(PackageError::Io(source)),
            Err(refused) => Err(PackageError::Refused { code: refused.code(), message: refused.to_string() }),
        }
    }
}
