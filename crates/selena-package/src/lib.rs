//! From a ZIP that a stranger made to a directory of plain files (protocol, section 2, step 1; faults, series Z).
//!
//! Entry point: [`unpack`]. Everything the archive says is checked before anything is written: its end record, its
//! central directory, its local headers, names, types, sizes, and that its parts lie side by side without overlap and
//! without gaps. Only then is it inflated, entry by entry, below a directory that no path can leave.
//!
//! A package may hold a container image: [`oci`] makes a plain tree of that.
//!
//! This crate does not interpret `manifest.json` and knows nothing of signatures, of the core and of async code.

mod archive;
mod bytes;
mod end;
mod entry;
mod error;
mod extra;
mod extract;
mod kind;
mod layout;
mod limits;
mod name;
pub mod oci;
mod source;
mod staging;
mod tree;

use std::{fs::File, path::Path};

pub use error::ZipError;
pub use limits::Limits;

/// A package that lies unpacked in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The text of `manifest.json`, at most [`Limits::manifest_bytes`].
    pub manifest: Vec<u8>,
    /// Paths of all files, relative to the directory, with `/`, in byte order.
    pub files: Vec<String>,
}

/// Unpacks a package into an existing, empty directory and makes it durable (protocol, section 2).
///
/// The ZIP is read by position only, so neither the file's cursor nor what its path names now has an effect.
/// Files get mode 0644, or 0755 if the archive marks them executable; directories 0755.
/// Blocking: one call writes up to [`Limits::total_bytes`].
///
/// # Errors
/// [`ZipError`]; what was written until then is removed again.
pub fn unpack(zip: &File, into: &Path, limits: &Limits) -> Result<Unpacked, ZipError> {
    let archive = archive::Archive::open(zip, limits)?;
    extract::extract(&archive, into)
}
