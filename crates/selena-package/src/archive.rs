//! A whole archive, checked before anything is inflated or written.

use std::{collections::BTreeSet, fs::File};

use crate::{Limits, ZipError, end, entry::Entry, kind::Kind, layout, source::Source, tree};

/// The package's description, at the root of the archive.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Who made the package, at its root too.
pub(crate) const SIGNATURE: &str = "SIGNATURE.json";

/// An archive of which only the data were not read yet.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    pub(crate) source: Source<'a>,
    /// The entries and where their data begin.
    pub(crate) entries: Vec<(Entry, u64)>,
    /// All directories, parents first.
    pub(crate) directories: BTreeSet<String>,
}

impl<'a> Archive<'a> {
    /// Reads and checks all that describes the archive.
    pub(crate) fn open(zip: &'a File, limits: &Limits) -> Result<Self, ZipError> {
        let source = Source::new(zip, limits)?;
        let directory = end::find(&source)?;
        if directory.entries > limits.entries as u64 {
            return Err(ZipError::Entries(limits.entries));
        }
        let entries = read_entries(&source, directory, limits)?;
        let directories = tree::directories(&entries, limits)?;
        // Sizes come after the layout: overlapping entries are a bomb of their own kind, whatever size they declare.
        let data = layout::check(&source, &entries, directory.start)?;
        check_sizes(&entries, limits)?;
        check_manifest(&entries, limits)?;
        check_signature(&entries, limits)?;
        Ok(Self { source, entries: entries.into_iter().zip(data).collect(), directories })
    }
}

fn read_entries(source: &Source<'_>, directory: end::Directory, limits: &Limits) -> Result<Vec<Entry>, ZipError> {
    let (mut entries, mut at) = (Vec::new(), directory.start);
    for _ in 0..directory.entries {
        let (entry, next) = Entry::read(source, at, directory.end, limits)?;
        entries.push(entry);
        at = next;
    }
    if at == directory.end { Ok(entries) } else { Err(ZipError::Corrupt("it has more entries than it claims")) }
}

fn check_sizes(entries: &[Entry], limits: &Limits) -> Result<(), ZipError> {
    entries.iter().try_for_each(|entry| entry.check_size(limits))?;
    let total = entries.iter().fold(0_u64, |total, entry| total.saturating_add(entry.size));
    if total > limits.total_bytes {
        return Err(ZipError::Size { what: "the unpacked package".to_owned(), limit: limits.total_bytes });
    }
    Ok(())
}

fn check_manifest(entries: &[Entry], limits: &Limits) -> Result<(), ZipError> {
    let manifest = entries.iter().find(|entry| entry.path == MANIFEST && entry.kind != Kind::Directory);
    match manifest.ok_or(ZipError::NoManifest)?.size {
        size if size > limits.manifest_bytes => Err(ZipError::ManifestSize(limits.manifest_bytes)),
        _ => Ok(()),
    }
}

/// A signature that cannot be read must not make the package look like one that has none.
fn check_signature(entries: &[Entry], limits: &Limits) -> Result<(), ZipError> {
    match entries.iter().find(|entry| entry.path == SIGNATURE) {
        Some(entry) if entry.kind == Kind::Directory || entry.size > limits.signature_bytes => {
            Err(ZipError::Signature(limits.signature_bytes))
        }
        _ => Ok(()),
    }
}
