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
        None => Ok(directories),
    }
}

/// The directories above a path.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(index, _)| &path[..index])
}
