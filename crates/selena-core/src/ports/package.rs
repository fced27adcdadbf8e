//! Reading packages.

use std::{collections::BTreeMap, fs::File, path::Path};

use super::ImageProgram;

/// A package that lies unpacked in a directory.
#[derive(Debug)]
pub struct UnpackedPackage {
    /// The text of its `manifest.json`, at most 64 KiB.
    pub manifest: Vec<u8>,
    /// The text of its `SIGNATURE.json`, at most 1 MiB, if it has one; not checked yet.
    pub signature: Option<Vec<u8>>,
    /// Its files by relative path, with `/`, and the SHA-256 of what was written of each.
    pub files: BTreeMap<String, [u8; 32]>,
}

/// Why a package was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The package breaks a rule of series Z, or has no manifest.
    #[error("{message}")]
    Refused {
        /// The machine's word, `zip_<reason>`, `image_<reason>`, `module_image_error` or `manifest_invalid`.
        code: &'static str,
        /// What is wrong, for people.
        message: String,
    },
    /// No disk space is left.
    #[error("no space left on the device while unpacking the package")]
    DiskFull,
    /// The disk failed.
    #[error("cannot unpack the package")]
    Io(#[source] std::io::Error),
}

/// Reads ZIPs and images from strangers. Blocking: called from a blocking task.
pub trait PackageReader: std::fmt::Debug + Send + Sync + 'static {
    /// Unpacks into an existing, empty directory. What was written on an error is the caller's to remove.
    ///
    /// # Errors
    /// [`PackageError`].
    fn unpack(&self, zip: &File, into: &Path) -> Result<UnpackedPackage, PackageError>;

    /// Packs the files of a package that lies unpacked into a ZIP without compression, for a backup.
    ///
    /// # Errors
    /// [`PackageError::DiskFull`], [`PackageError::Io`].
    fn pack(&self, package: &Path, into: &File) -> Result<(), PackageError>;

    /// As [`PackageReader::unpack`], of a ZIP that [`PackageReader::pack`] made: it may be as large as its files.
    ///
    /// # Errors
    /// [`PackageError`].
    fn unpack_packed(&self, zip: &File, into: &Path) -> Result<UnpackedPackage, PackageError>;

    /// Reads what the image in an `image.tar` starts. Quick: layers are not read (protocol, section 4, row `oci`).
    ///
    /// # Errors
    /// [`PackageError`].
    fn image_program(&self, image: &File) -> Result<ImageProgram, PackageError>;

    /// Writes the files of the image in an `image.tar` as one plain tar; gives what it lost on the way, for people.
    /// What was written on an error is the caller's to remove.
    ///
    /// # Errors
    /// [`PackageError`].
    fn flatten_image(&self, image: &File, into: &File) -> Result<Vec<String>, PackageError>;
}
