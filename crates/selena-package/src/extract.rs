//! From a checked archive to files (Z12, Z21, Z23, Z28).

use std::{collections::BTreeMap, fs::File, io::Write, path::Path};

use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};
use sha2::{Digest, Sha256};

use crate::{
    Unpacked, ZipError,
    archive::{Archive, MANIFEST, SIGNATURE},
    entry::{Entry, Method},
    error::shown,
    kind::Kind,
    source::Source,
    staging::Staging,
};

/// Bytes read, and bytes unpacked, at once.
const CHUNK: usize = 64 * 1024;

/// Unpacks all entries; on an error what was written is removed.
pub(crate) fn extract(archive: &Archive<'_>, into: &Path) -> Result<Unpacked, ZipError> {
    let mut staging = Staging::open(into)?;
    match fill(archive, &mut staging) {
        Ok(unpacked) => Ok(unpacked),
        Err(error) => {
            staging.clear();
            Err(error)
        }
    }
}

fn fill(archive: &Archive<'_>, staging: &mut Staging) -> Result<Unpacked, ZipError> {
    for directory in &archive.directories {
        staging.make_directory(directory)?;
    }
    let (mut manifest, mut signature, mut files) = (Vec::new(), None, BTreeMap::new());
    for (entry, data_at) in &archive.entries {
        let mut output = Output::new(entry);
        if entry.kind != Kind::Directory {
            output.file = Some(staging.make_file(&entry.path, entry.kind == Kind::Executable)?);
            output.copy = match entry.path.as_str() {
                MANIFEST => Some(&mut manifest),
                SIGNATURE => Some(signature.insert(Vec::new())),
                _ => None,
            };
        }
        unpack_entry(&archive.source, *data_at, &mut output)?;
        let digest = output.finish()?;
        if entry.kind != Kind::Directory {
            files.insert(entry.path.clone(), digest);
        }
    }
    staging.sync()?;
    Ok(Unpacked { manifest, signature, files })
}

/// Where an entry's data go. Never more than the entry's declared size is written.
struct Output<'a> {
    entry: &'a Entry,
    file: Option<File>,
    copy: Option<&'a mut Vec<u8>>,
    hasher: Hasher,
    digest: Sha256,
    written: u64,
}

impl<'a> Output<'a> {
    fn new(entry: &'a Entry) -> Self {
        Self { entry, file: None, copy: None, hasher: Hasher::new(), digest: Sha256::new(), written: 0 }
    }

    /// Takes the next unpacked bytes; refuses them before they are written if they are more than declared.
    fn write(&mut self, bytes: &[u8]) -> Result<(), ZipError> {
        self.written += bytes.len() as u64;
        if self.written > self.entry.size {
            return Err(ZipError::Size { what: format!("entry {}, unpacked,", self.name()), limit: self.entry.size });
        }
        self.hasher.update(bytes);
        self.digest.update(bytes);
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(bytes);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(bytes).map_err(|error| ZipError::io("write a file of the package", error))
    }

    /// Checks size and checksum of the whole; gives its SHA-256.
    fn finish(self) -> Result<[u8; 32], ZipError> {
        if self.written != self.entry.size {
            return Err(ZipError::Mismatch { name: self.name(), what: "size (the data are fewer)" });
        }
        if self.hasher.clone().finalize() != self.entry.crc {
            return Err(ZipError::Crc(self.name()));
        }
        Ok(self.digest.finalize().into())
    }

    fn name(&self) -> String {
        shown(&self.entry.raw_name)
    }
}

fn unpack_entry(source: &Source<'_>, data_at: u64, output: &mut Output<'_>) -> Result<(), ZipError> {
    let mut inflater = (output.entry.method == Method::Deflate).then(Inflater::new);
    let mut buffer = vec![0; CHUNK];
    let (mut at, end) = (data_at, data_at + output.entry.packed);
    while at < end {
        let len = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
        source.read(&mut buffer[..len], at)?;
        match &mut inflater {
            None => output.write(&buffer[..len])?,
            Some(inflater) => inflater.feed(&buffer[..len], output)?,
        }
        at += len as u64;
    }
    if inflater.is_some_and(|inflater| !inflater.ended) {
        return Err(ZipError::Corrupt("an entry's data are cut"));
    }
    Ok(())
}

/// A deflate stream that must end exactly where its entry does.
struct Inflater {
    stream: Decompress,
    buffer: Vec<u8>,
    ended: bool,
}

impl Inflater {
    fn new() -> Self {
        Self { stream: Decompress::new(false), buffer: vec![0; CHUNK], ended: false }
    }

    fn feed(&mut self, mut input: &[u8], output: &mut Output<'_>) -> Result<(), ZipError> {
        loop {
            if self.ended {
                let rest = ZipError::Corrupt("there are bytes behind an entry's data");
                return if input.is_empty() { Ok(()) } else { Err(rest) };
            }
            let (read_before, made_before) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.decompress(input, &mut self.buffer, FlushDecompress::None);
            let status = status.map_err(|_| ZipError::Corrupt("an entry's data are not deflate"))?;
            let read = usize::try_from(self.stream.total_in() - read_before).unwrap_or(usize::MAX);
            let made = usize::try_from(self.stream.total_out() - made_before).unwrap_or(usize::MAX);
            input = input.get(read..).unwrap_or_default();
            output.write(self.buffer.get(..made).unwrap_or_default())?;
            self.ended = status == Status::StreamEnd;
            if !self.ended && read == 0 && made == 0 {
                // It wants more than this chunk has.
                return Ok(());
            }
        }
    }
}
