//! A module's package as its author has it: a directory, or the ZIP made of it.
//!
//! The hub's own reader takes packages of strangers and stops at the first fault; this one tells an author all of
//! them before anything is sent. What a hub takes, the hub decides.

mod archive;
mod check;
mod ignore;
mod names;
mod pack;
mod program;
mod sign;
mod tree;

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use zip::{ZipArchive, result::ZipError};

pub(crate) use check::{Report, check};
pub(crate) use pack::pack;
pub(crate) use tree::{Stamp, stamps};

/// Largest package in bytes (faults, series Z, as are the next ones).
const MAX_ARCHIVE_BYTES: u64 = 50 << 20;
/// Most bytes of all files.
const MAX_TOTAL_BYTES: u64 = 200 << 20;
/// Most files and directories.
const MAX_ENTRIES: usize = 2000;
/// Longest path in bytes.
const MAX_PATH_BYTES: usize = 200;
/// Most parts of a path.
const MAX_DEPTH: usize = 16;
/// How many times its packed size a file may have, if it is larger than [`RATIO_FROM_BYTES`].
const MAX_RATIO: u64 = 100;
/// From which size in bytes on the ratio counts.
const RATIO_FROM_BYTES: u64 = 1 << 20;

/// Why a package could not be read or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    /// The file system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is no ZIP, or a broken one.
    #[error("{} is not a whole ZIP file; pack it anew", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ZipError,
    },
    /// `.selenaignore` has a line that means nothing.
    #[error(".selenaignore, line {line}: {why}")]
    Ignore {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl PackageError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Executable,
    /// A link, a device, a file with setuid: no hub takes it.
    Other,
}

/// A file of a package; directories are no entries of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Relative to the package, with `/`.
    path: String,
    kind: Kind,
    bytes: u64,
    /// Its size in the ZIP, if that is made.
    packed_bytes: Option<u64>,
}

/// A package: its entries in byte order of their paths.
#[derive(Debug)]
pub(crate) struct Package {
    place: PathBuf,
    entries: Vec<Entry>,
    source: Source,
    /// Whether it gets a signature when it is packed.
    to_be_signed: bool,
}

#[derive(Debug)]
enum Source {
    Directory,
    Archive { zip: ZipArchive<File>, bytes: u64 },
}

impl Package {
    /// The package in a directory, without what is ignored, or in a ZIP.
    pub(crate) fn open(place: &Path) -> Result<Self, PackageError> {
        if std::fs::metadata(place).map_err(PackageError::io("find", place))?.is_dir() {
            let entries = tree::entries(place)?;
            return Ok(Self { place: place.to_owned(), entries, source: Source::Directory, to_be_signed: false });
        }
        archive::open(place)
    }

    fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// The first bytes of a file of the package.
    fn read(&mut self, path: &str, most: u64) -> Result<Vec<u8>, PackageError> {
        let mut bytes = Vec::new();
        self.copy_first(path, most, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes a file of the package somewhere; of one that is larger than a package may be, a part.
    fn copy(&mut self, path: &str, to: &mut impl Write) -> Result<(), PackageError> {
        self.copy_first(path, MAX_TOTAL_BYTES + 1, to)
    }

    fn copy_first(&mut self, path: &str, most: u64, to: &mut impl Write) -> Result<(), PackageError> {
        let file = self.place.join(path);
        let copied = match &mut self.source {
            Source::Directory => File::open(&file).and_then(|open| io::copy(&mut open.take(most), to)),
            Source::Archive { zip, .. } => match zip.by_name(path) {
                Ok(entry) => io::copy(&mut entry.take(most), to),
                Err(source) => return Err(PackageError::Broken { path: self.place.clone(), source }),
            },
        };
        copied.map_err(PackageError::io("read", &file))?;
        Ok(())
    }
}
