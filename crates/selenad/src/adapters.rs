//! Ports whose implementation knows nothing of the core.

use std::{
    fs::File,
    path::Path,
    sync::{Mutex, PoisonError},
};

use selena_core::ports::{ImageProgram, PackageError, PackageReader, UnpackedPackage};
use selena_package::{
    Limits, ZipError,
    oci::{Flattened, Image, ImageError, ImageLimits},
    unpack,
};

/// Packages as `selena-package` reads them.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    limits: Limits,
    image_limits: ImageLimits,
    /// One image after the other: the paths of the largest take some tens of MiB.
    flattening: Mutex<()>,
}

impl PackageReader for Packages {
    fn unpack(&self, zip: &File, into: &Path) -> Result<UnpackedPackage, PackageError> {
        match unpack(zip, into, &self.limits) {
            Ok(unpacked) => Ok(UnpackedPackage { manifest: unpacked.manifest, files: unpacked.files }),
            Err(ZipError::DiskFull) => Err(PackageError::DiskFull),
            Err(ZipError::Io { source, .. }) => Err(PackageError::Io(source)),
            Err(refused) => Err(PackageError::Refused { code: refused.code(), message: refused.to_string() }),
        }
    }

    fn image_program(&self, image: &File) -> Result<ImageProgram, PackageError> {
        let image = Image::open(image, &self.image_limits).map_err(image_error)?;
        let program = image.program().clone();
        let (argv, env, working_dir) = (program.argv, program.env, program.working_dir);
        Ok(ImageProgram { id: image.id(), argv, env, working_dir })
    }

    fn flatten_image(&self, image: &File, into: &File) -> Result<Vec<String>, PackageError> {
        let _alone = self.flattening.lock().unwrap_or_else(PoisonError::into_inner);
        let image = Image::open(image, &self.image_limits).map_err(image_error)?;
        image.flatten(into).map(lost).map_err(image_error)
    }
}

fn image_error(error: ImageError) -> PackageError {
    match error {
        ImageError::DiskFull => PackageError::DiskFull,
        ImageError::Io { source, .. } => PackageError::Io(source),
        refused => PackageError::Refused { code: refused.code(), message: refused.to_string() },
    }
}

fn lost(flattened: Flattened) -> Vec<String> {
    let Flattened { privileged, ignored } = flattened;
    let bits = (privileged > 0).then(|| format!("setuid, setgid or capabilities of {privileged} files are gone"));
    let words = (!ignored.is_empty()).then(|| format!("its configuration asks in vain for {}", ignored.join(", ")));
    bits.into_iter().chain(words).collect()
}
