//! The files and directories that all entries together make (Z07, Z09, Z16).

use std::collections::{BTreeMap, BTreeSet};

use crate::{Limits, ZipError, entry::Entry, error::shown, kind::Kind};

/// All directories, named and implied, parents first; an error if two entries claim one path.
pub(crate) fn directories(entries: &[Entry], limits: &Limits) -> Result<BTreeSet<String>, ZipError> {
    let mut named: BTreeMap<&str, Kind> = BTreeMap::new();
    let mut directories = BTreeSet::new();
    for entry in entries {
        if named.insert(&entry.path, entry.kind).is_some() {
            return Err(ZipError::Duplicate(shown(entry.path.as_bytes())));
        }
        directories.extend(parents(&entry.path).map(str::to_owned));
        if entry.kind == Kind::Directory {
            directories.insert(entry.path.clone());
        }
    }
    match directories.iter().find(|path| named.get(path.as_str()).is_some_and(|kind| *kind != Kind::Directory)) {
        Some(clash) => Err(ZipError::Duplicate(shown(clash.as_bytes()))),
        None if directories.len() > limits.entries => Err(ZipError::Entries(limits.entries)),
        None => check_case(named.keys().copied(), &directories).map(|()| directories),
    }
}

/// Paths that differ in capitals only are one path on a medium that folds them, and to many a reader.
fn check_case<'a>(named: impl Iterator<Item = &'a str>, directories: &'a BTreeSet<String>) -> Result<(), ZipError> {
    let paths: BTreeSet<&str> = named.chain(directories.iter().map(String::as_str)).collect();
    let mut folded = BTreeSet::new();
    // Both ways: `ß` and `SS` meet in capitals, and capitals have one lower case.
    match paths.into_iter().find(|path| !folded.insert(path.to_uppercase().to_lowercase())) {
        Some(twin) => Err(ZipError::Duplicate(shown(twin.as_bytes()))),
        None => Ok(()),
    }
}

/// The directories above a path.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(index, _)| &path[..index])
}
