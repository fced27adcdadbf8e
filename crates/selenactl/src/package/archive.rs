//! A ZIP as a package.

use std::{fs::File, path::Path};

use zip::{ZipArchive, read::ZipFile, result::ZipError};

use super::{Entry, Kind, Package, PackageError, Source};

/// The part of a Unix mode that is the file's type, and those that mean an ordinary file and special rights.
const TYPE_BITS: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const SPECIAL_BITS: u32 = 0o007_000;
const EXECUTABLE_BITS: u32 = 0o000_111;

/// Reads the list of a ZIP's entries; what they hold is read when it is asked for.
pub(super) fn open(place: &Path) -> Result<Package, PackageError> {
    let broken = |source: ZipError| PackageError::Broken { path: place.to_owned(), source };
    let file = File::open(place).map_err(PackageError::io("open", place))?;
    let bytes = file.metadata().map_err(PackageError::io("read", place))?.len();
    let mut zip = ZipArchive::new(file).map_err(broken)?;
    let mut entries = Vec::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).map_err(broken)?;
        if !entry.is_dir() {
            entries.push(of(&entry));
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Package { place: place.to_owned(), entries, source: Source::Archive { zip, bytes }, to_be_signed: false })
}

fn of(entry: &ZipFile<'_, File>) -> Entry {
    let kind = match entry.unix_mode().unwrap_or(REGULAR) {
        mode if !matches!(mode & TYPE_BITS, 0 | REGULAR) || mode & SPECIAL_BITS != 0 => Kind::Other,
        mode if mode & EXECUTABLE_BITS != 0 => Kind::Executable,
        _ => Kind::File,
    };
    let raw = String::from_utf8_lossy(entry.name_raw());
    // `name` is decoded as the archive says: another one means that it is not marked as UTF-8, as the hub wants it.
    let marked = entry.name() == raw;
    let path = if marked { raw.into_owned() } else { raw.replace(|c: char| !c.is_ascii(), "\u{fffd}") };
    Entry { path, kind, bytes: entry.size(), packed_bytes: Some(entry.compressed_size()) }
}
