//! A directory as a package.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use super::{Entry, Kind, PackageError, ignore::Ignore};

/// What changes when a file does: time, size, place on the disk, mode.
pub(crate) type Stamp = (i64, i64, u64, u64, u32);

/// All files of a directory that are not ignored, in byte order of their paths.
pub(super) fn entries(dir: &Path) -> Result<Vec<Entry>, PackageError> {
    let mut entries = Vec::new();
    let ignore = Ignore::of(dir)?;
    walk(dir, "", &|path, is_directory| ignore.leaves_out(path, is_directory), &mut |path, metadata| {
        let kind = match metadata.permissions().mode() {
            mode if !metadata.is_file() || mode & 0o6000 != 0 => Kind::Other,
            mode if mode & 0o111 != 0 => Kind::Executable,
            _ => Kind::File,
        };
        entries.push(Entry { path: path.to_owned(), kind, bytes: metadata.len(), packed_bytes: None });
    })?;
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// The state of all files that a running module is made of, to be compared with a later one.
pub(crate) fn stamps(dir: &Path) -> Result<BTreeMap<String, Stamp>, PackageError> {
    let mut stamps = BTreeMap::new();
    let ignore = Ignore::of(dir)?;
    walk(dir, "", &|path, is_directory| ignore.is_unwatched(path, is_directory), &mut |path, metadata| {
        let stamp = (metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino(), metadata.mode());
        stamps.insert(path.to_owned(), stamp);
    })?;
    Ok(stamps)
}

/// Goes through the directory `within`, a path that is empty or ends with `/`. Links are not followed.
fn walk(
    dir: &Path,
    within: &str,
    leaves_out: &impl Fn(&str, bool) -> bool,
    found: &mut impl FnMut(&str, &Metadata),
) -> Result<(), PackageError> {
    let here = dir.join(within);
    for item in fs::read_dir(&here).map_err(PackageError::io("list", &here))? {
        let item = item.map_err(PackageError::io("list", &here))?;
        let path = format!("{within}{}", item.file_name().to_string_lossy());
        // A file that an editor has just removed is none of the package's.
        let Ok(metadata) = item.metadata() else { continue };
        match metadata.is_dir() {
            directory if leaves_out(&path, directory) => {}
            true => walk(dir, &format!("{path}/"), leaves_out, found)?,
            false => found(&path, &metadata),
        }
    }
    Ok(())
}
