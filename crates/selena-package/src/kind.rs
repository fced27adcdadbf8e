//! Types of entries (Z07, Z08).

use crate::{ZipError, error::shown};

/// What an entry becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file with mode 0644.
    File,
    /// A file with mode 0755.
    Executable,
    /// A directory.
    Directory,
}

const TYPE_BITS: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
/// setuid, setgid, sticky.
const SPECIAL_BITS: u32 = 0o007_000;
const EXECUTABLE_BITS: u32 = 0o000_111;

const DOS_VOLUME: u32 = 0x08;
const DOS_DIRECTORY: u32 = 0x10;
const DOS_DEVICE: u32 = 0x40;
const DOS_REPARSE_POINT: u32 = 0x400;

/// The kind by external attributes: DOS bits below, a Unix mode in the upper half. That half is looked at whatever
/// system the archive claims to come from, since other readers do the same.
pub(crate) fn check(attributes: u32, named_directory: bool, name: &[u8]) -> Result<Kind, ZipError> {
    let mode = attributes >> 16;
    let unix_directory = mode & TYPE_BITS == DIRECTORY;
    let untyped = mode & TYPE_BITS == 0;
    let ordinary = untyped || unix_directory || mode & TYPE_BITS == REGULAR;
    let dos_directory = attributes & DOS_DIRECTORY != 0;
    let special = mode & SPECIAL_BITS != 0 || attributes & (DOS_VOLUME | DOS_DEVICE | DOS_REPARSE_POINT) != 0;
    // Name and attributes must not disagree about whether it is a directory.
    let agree = if named_directory { untyped || unix_directory } else { !unix_directory && !dos_directory };
    match (ordinary && !special && agree, named_directory) {
        (false, _) => Err(ZipError::Type(shown(name))),
        (true, true) => Ok(Kind::Directory),
        (true, false) if mode & EXECUTABLE_BITS != 0 => Ok(Kind::Executable),
        (true, false) => Ok(Kind::File),
    }
}
