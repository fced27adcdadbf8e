//! Reading an archive: every name, order and size is checked before a byte of a part is given on.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read},
};

use selena_types::ModuleName;
use tar::{Archive, EntryType};

use crate::{
    BackupError, Index, Part,
    age::{Decrypting, Key},
};

/// Most bytes that follow a tar's last part: other programs fill up to 10 KiB.
const MOST_PADDING: u64 = 1024 * 1024;

/// Who is given the parts of an archive, in their order.
pub trait PartVisitor {
    /// Its errors.
    type Error: From<BackupError>;

    /// What the backup says of itself; the first call.
    ///
    /// # Errors
    /// Its own; then nothing more is read.
    fn index(&mut self, index: &Index) -> Result<(), Self::Error>;

    /// A part of this many bytes. Those that are not read are passed over.
    ///
    /// # Errors
    /// Its own; then nothing more is read.
    fn part(&mut self, part: &Part, bytes: u64, content: &mut dyn Read) -> Result<(), Self::Error>;
}

/// Reads a backup as a stream.
pub struct ArchiveReader<R: BufRead> {
    content: Decrypting<R>,
}

impl<R: BufRead> std::fmt::Debug for ArchiveReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArchiveReader")
    }
}

impl<R: BufRead> ArchiveReader<R> {
    /// Reads the envelope's header and tries the key: a wrong one is told before anything more is read.
    ///
    /// # Errors
    /// [`BackupError::Age`].
    pub fn open(from: R, key: &Key) -> Result<Self, BackupError> {
        Ok(Self { content: Decrypting::new(from, key)? })
    }

    /// Gives all parts to `visitor`. What it was given counts only if this returns without an error: that the whole
    /// file came, unchanged, is known at its end.
    ///
    /// # Errors
    /// [`BackupError`], or the visitor's.
    pub fn read<V: PartVisitor>(self, visitor: &mut V) -> Result<(), V::Error> {
        let mut archive = Archive::new(self.content);
        let mut order = None;
        let entries = archive.entries().map_err(BackupError::from)?;
        // Raw: an extension's header, which could be of any size, is an entry like others, and refused like others.
        for entry in entries.raw(true) {
            let mut entry = entry.map_err(tar_error)?;
            let part = part_of(&entry)?;
            let bytes = entry.size();
            let Some(order) = &mut order else {
                let index = first(&part, &mut entry)?;
                visitor.index(&index)?;
                order = Some(Order::new(&index));
                continue;
            };
            order.take(&part)?;
            visitor.part(&part, bytes, &mut entry)?;
            // Those of its bytes that nobody wanted are authenticated too.
            io::copy(&mut entry, &mut io::sink()).map_err(BackupError::from)?;
        }
        match order {
            Some(order) => order.is_complete()?,
            None => return Err(malformed("it is empty").into()),
        }
        padding(archive.into_inner())?;
        Ok(())
    }
}

fn malformed(what: impl Into<String>) -> BackupError {
    BackupError::Malformed(what.into())
}

/// Errors of the envelope come through the tar's.
fn tar_error(error: io::Error) -> BackupError {
    match BackupError::from(error) {
        BackupError::Io(error) if error.kind() == io::ErrorKind::Other => malformed(format!("its tar: {error}")),
        other => other,
    }
}

/// The part that an entry is, if it may be there at all.
fn part_of<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Part, BackupError> {
    let path = entry.path_bytes().into_owned();
    let path = String::from_utf8(path).map_err(|_| malformed("it has a name that is no text"))?;
    let part = Part::of(&path).filter(|_| entry.header().entry_type() == EntryType::Regular);
    let part = part.ok_or_else(|| malformed(format!("`{}` does not belong there", path.escape_debug())))?;
    if entry.size() > part.most_bytes() {
        return Err(malformed(format!("{part} is larger than it may be")));
    }
    Ok(part)
}

fn first(part: &Part, content: &mut impl Read) -> Result<Index, BackupError> {
    if *part != Part::Index {
        return Err(malformed("it does not begin with backup.json"));
    }
    let mut text = Vec::new();
    content.read_to_end(&mut text)?;
    Index::parse(&text)
}

/// Which parts came, and may still come.
struct Order {
    places: BTreeMap<ModuleName, usize>,
    /// Whether each has a version before.
    previous: Vec<bool>,
    last: (usize, u8),
    came: Vec<(usize, u8)>,
}

impl Order {
    fn new(index: &Index) -> Self {
        let places = index.modules.iter().enumerate().map(|(place, module)| (module.name.clone(), place)).collect();
        let previous = index.modules.iter().map(|module| module.previous.is_some()).collect();
        Self { places, previous, last: (0, 0), came: Vec::new() }
    }

    fn take(&mut self, part: &Part) -> Result<(), BackupError> {
        let rank = part.rank(|name| self.places.get(name).copied());
        let rank = rank.ok_or_else(|| malformed(format!("{part} is of a module that its list does not have")))?;
        if rank <= self.last {
            return Err(malformed(format!("{part} is there twice, or at the wrong place")));
        }
        if rank.0 > 0 && rank.1 >= 2 && !self.previous[rank.0 - 1] {
            return Err(malformed(format!("{part} is of a version that its list does not have")));
        }
        self.last = rank;
        self.came.push(rank);
        Ok(())
    }

    fn is_complete(&self) -> Result<(), BackupError> {
        let has = |rank: (usize, u8)| self.came.contains(&rank);
        let packages = (1..=self.previous.len()).all(|n| has((n, 0)) && (!self.previous[n - 1] || has((n, 2))));
        if has((0, 1)) && has((0, 2)) && packages { Ok(()) } else { Err(malformed("a part of it is missing")) }
    }
}

/// All that follows the last part is nothing.
fn padding(mut content: impl Read) -> Result<(), BackupError> {
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let read = content.read(&mut buffer)?;
        bytes += read as u64;
        if read == 0 {
            return Ok(());
        }
        if bytes > MOST_PADDING || buffer[..read].iter().any(|byte| *byte != 0) {
            return Err(malformed("something follows its end"));
        }
    }
}
