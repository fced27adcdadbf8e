//! Writing an archive.

use std::io::{Read, Write};

use tar::{Builder, EntryType, Header};

use crate::{
    BackupError, Index, Part,
    age::{Encrypting, Lock},
};

/// Writes a backup as a stream: nothing of it is kept. One that is dropped before its end is taken for whole by nobody.
pub struct ArchiveWriter<W: Write> {
    tar: Builder<Encrypting<W>>,
    seconds: u64,
}

impl<W: Write> std::fmt::Debug for ArchiveWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArchiveWriter")
    }
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive with its index.
    ///
    /// # Errors
    /// [`BackupError`], as with every method here.
    pub fn new(into: W, lock: &Lock, index: &Index) -> Result<Self, BackupError> {
        let seconds = u64::try_from(index.created_at.as_second()).unwrap_or_default();
        let mut writer = Self { tar: Builder::new(Encrypting::new(into, lock)?), seconds };
        let text = serde_json::to_vec_pretty(index).expect("an index is JSON");
        writer.add(&Part::Index, text.len() as u64, text.as_slice())?;
        Ok(writer)
    }

    /// Writes a part of this many bytes; parts come in the order of [`Part`], the modules in that of the index.
    ///
    /// # Errors
    /// Also if `from` has fewer bytes.
    pub fn add(&mut self, part: &Part, bytes: u64, from: impl Read) -> Result<(), BackupError> {
        if bytes > part.most_bytes() {
            return Err(BackupError::Malformed(format!("{part} has {bytes} bytes, more than a backup takes")));
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(self.seconds);
        header.set_size(bytes);
        let mut counted = Counted { from: from.take(bytes), left: bytes };
        self.tar.append_data(&mut header, part.to_string(), &mut counted)?;
        Ok(())
    }

    /// Writes the end.
    ///
    /// # Errors
    /// What is written to.
    pub fn finish(self) -> Result<W, BackupError> {
        Ok(self.tar.into_inner()?.finish()?)
    }
}

/// Ends with an error, and not early, if there are fewer bytes than were announced.
struct Counted<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        self.left -= read as u64;
        if read == 0 && self.left > 0 && !into.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(read)
    }
}
