//! The archive's bytes, read by position.

use std::{fs::File, io, os::unix::fs::FileExt};

use crate::{Limits, ZipError};

/// The archive as it is behind one file descriptor; the path it came from plays no part (Z27).
#[derive(Debug)]
pub(crate) struct Source<'a> {
    file: &'a File,
    len: u64,
}

impl<'a> Source<'a> {
    /// Looks at the file's size.
    pub(crate) fn new(file: &'a File, limits: &Limits) -> Result<Self, ZipError> {
        let metadata = file.metadata().map_err(|error| ZipError::io("look at the package", error))?;
        match metadata.len() {
            _ if !metadata.is_file() => Err(ZipError::Corrupt("it is not a file")),
            0 => Err(ZipError::Empty),
            len if len > limits.archive_bytes => {
                Err(ZipError::Size { what: "the package".to_owned(), limit: limits.archive_bytes })
            }
            len => Ok(Self { file, len }),
        }
    }

    /// Size in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Fills the buffer from a position.
    pub(crate) fn read(&self, buffer: &mut [u8], at: u64) -> Result<(), ZipError> {
        self.file.read_exact_at(buffer, at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ZipError::Corrupt("it ends too early"),
            _ => ZipError::io("read the package", error),
        })
    }

    /// A record of a fixed size from a position.
    pub(crate) fn record<const N: usize>(&self, at: u64) -> Result<[u8; N], ZipError> {
        let mut record = [0; N];
        self.read(&mut record, at)?;
        Ok(record)
    }

    /// A part whose length is a 16-bit field, so at most 64 KiB.
    pub(crate) fn part(&self, at: u64, len: u16) -> Result<Vec<u8>, ZipError> {
        let mut part = vec![0; usize::from(len)];
        self.read(&mut part, at)?;
        Ok(part)
    }
}
