//! Ports whose implementation knows nothing of the core.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use selena_core::ports::{ImageProgram, PackageError, PackageReader, UnpackedPackage};
use selena_package::{
    Limits, Unpacked, ZipError,
    oci::{Flattened, Image, ImageError, ImageLimits},
    unpack,
};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// What a ZIP of the most entries has beside its files.
const ZIP_BYTES: u64 = 4 << 20;

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
        unpacked(unpack(zip, into, &self.limits))
    }

    fn pack(&self, package: &Path, into: &File) -> Result<(), PackageError> {
        pack(package, into).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PackageError::DiskFull,
            _ => PackageError::Io(error),
        })
    }

    fn unpack_packed(&self, zip: &File, into: &Path) -> Result<UnpackedPackage, PackageError> {
        // Not compressed, so that it is as large as what is in it; all other limits are those of packages.
        let limits = Limits { archive_bytes: self.limits.total_bytes + ZIP_BYTES, ..self.limits.clone() };
        unpacked(unpack(zip, into, &limits))
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

fn unpacked(outcome: Result<Unpacked, ZipError>) -> Result<UnpackedPackage, PackageError> {
    match outcome {
        Ok(Unpacked { manifest, signature, files }) => Ok(UnpackedPackage { manifest, signature, files }),
        Err(ZipError::DiskFull) => Err(PackageError::DiskFull),
        Err(ZipError::Io { source, .. }) => Err(PackageError::Io(source)),
        Err(refused) => Err(PackageError::Refused { code: refused.code(), message: refused.to_string() }),
    }
}

/// Files of a package have one of two modes.
fn pack(package: &Path, into: &File) -> io::Result<()> {
    let mut zip = ZipWriter::new(BufWriter::new(into));
    let mut left = vec![PathBuf::new()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(package.join(&dir))? {
            let entry = entry?;
            let path = dir.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                left.push(path);
                continue;
            }
            let mode = if entry.metadata()?.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            zip.start_file(path.to_string_lossy(), options.unix_permissions(mode)).map_err(io::Error::other)?;
            io::copy(&mut File::open(entry.path())?, &mut zip)?;
        }
    }
    zip.finish().map_err(io::Error::other)?.flush()
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
