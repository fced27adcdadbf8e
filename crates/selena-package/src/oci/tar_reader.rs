//! The entries of a tar from a stranger, one after the other. No number in it makes the hub allocate.

use std::io::{self, Read};

use super::{
    ImageError,
    header::{self, BLOCK, RawHeader},
    pax::Extended,
};
use crate::error::shown;

/// Largest extended header or long name in bytes.
const MAX_EXTENSION_BYTES: u64 = 256 * 1024;
/// Most of them before one entry.
const MAX_EXTENSIONS: usize = 8;

/// Bytes that can also be passed over.
pub(crate) trait Input: Read + Sized {
    /// Passes over so many bytes, all of which must be there.
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let passed = io::copy(&mut self.by_ref().take(bytes), &mut io::sink())?;
        if passed == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    /// A device, a FIFO, a sparse file, or what nobody knows; in words.
    Other(&'static str),
}

/// An entry, with the names and sizes of the extended headers before it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As it stands there, not checked.
    pub(crate) path: Vec<u8>,
    /// What a link names, not checked.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    /// Size in bytes of its data.
    pub(crate) size: u64,
    /// Mode bits without the type.
    pub(crate) mode: u32,
    /// Seconds since 1970.
    pub(crate) mtime: u64,
    /// It has file capabilities, or another attribute of security.
    pub(crate) has_privilege: bool,
}

/// A tar being read.
#[derive(Debug)]
pub(crate) struct TarReader<R> {
    input: R,
    /// Bytes of the current entry that were not read yet, and the padding behind them.
    data_left: u64,
    padding: u64,
}

impl<R: Input> TarReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, data_left: 0, padding: 0 }
    }

    /// What is read from; for readers that know their position.
    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    /// The next entry; what was not read of the one before is passed over. `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ImageError> {
        let mut extended = Extended::default();
        let (mut long_path, mut long_link) = (None, None);
        for seen in 0..=MAX_EXTENSIONS {
            let Some(raw) = self.next_header()? else {
                return if seen == 0 { Ok(None) } else { Err(ImageError::corrupt("a tar ends inside an entry")) };
            };
            match raw.type_flag {
                b'x' => extended.read(&self.extension()?)?,
                b'g' => refuse_global(&self.extension()?)?,
                b'L' => long_path = Some(until_nul(self.extension()?)),
                b'K' => long_link = Some(until_nul(self.extension()?)),
                _ => return self.entry(raw, extended, long_path, long_link).map(Some),
            }
        }
        Err(ImageError::corrupt("an entry of a tar has too many headers"))
    }

    /// Reads the rest: behind the last entry only zeros may follow.
    pub(crate) fn finish(mut self) -> Result<R, ImageError> {
        let mut buffer = [0; 16 * BLOCK];
        loop {
            match self.input.read(&mut buffer).map_err(|error| ImageError::io("read a tar", error))? {
                0 => return Ok(self.input),
                read if buffer[..read].iter().all(|byte| *byte == 0) => {}
                _ => return Err(ImageError::corrupt("something follows the end of a tar")),
            }
        }
    }

    fn entry(
        &mut self,
        raw: RawHeader,
        extended: Extended,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, ImageError> {
        let path = extended.path.or(long_path).unwrap_or(raw.path);
        let link = extended.link.or(long_link).unwrap_or(raw.link);
        let size = extended.size.unwrap_or(raw.size);
        let kind = if extended.is_sparse { SPARSE } else { kind(raw.type_flag, &path) };
        if size != 0 && !matches!(kind, Kind::File | Kind::Other(_)) {
            let what = format!("{} is no file and has data", shown(&path));
            return Err(ImageError::corrupt(what));
        }
        self.expect_data(size);
        let (mode, mtime, has_privilege) = (raw.mode, raw.mtime, extended.has_privilege);
        Ok(Entry { path, link, kind, size, mode, mtime, has_privilege })
    }

    fn next_header(&mut self) -> Result<Option<RawHeader>, ImageError> {
        let reading = |error| ImageError::io("read a tar", error);
        self.input.skip(self.data_left + self.padding).map_err(reading)?;
        (self.data_left, self.padding) = (0, 0);
        let mut block = [0; BLOCK];
        match read_full(&mut self.input, &mut block).map_err(reading)? {
            // Some writers end without the two blocks of zeros; that nothing is missing the digests tell.
            0 => return Ok(None),
            BLOCK if block == [0; BLOCK] => return Ok(None),
            BLOCK => {}
            _ => return Err(ImageError::corrupt("a tar ends inside a header")),
        }
        let raw = header::parse(&block)?;
        if matches!(raw.type_flag, b'x' | b'g' | b'L' | b'K') {
            self.expect_data(raw.size);
        }
        Ok(Some(raw))
    }

    fn expect_data(&mut self, size: u64) {
        self.data_left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    /// The data of a header that belongs to the entry behind it.
    fn extension(&mut self) -> Result<Vec<u8>, ImageError> {
        if self.data_left > MAX_EXTENSION_BYTES {
            return Err(ImageError::corrupt("a name or an extended header of a tar is huge"));
        }
        let mut data = Vec::new();
        self.read_to_end(&mut data).map_err(|error| ImageError::io("read a tar", error))?;
        Ok(data)
    }
}

/// The data of the current entry; an error if they are fewer than its header says.
impl<R: Input> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.data_left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.input.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.data_left -= read as u64;
        Ok(read)
    }
}

const SPARSE: Kind = Kind::Other("a sparse file");

fn kind(type_flag: u8, path: &[u8]) -> Kind {
    match type_flag {
        // Before POSIX a directory was told by its name alone.
        b'0' | 0 if path.ends_with(b"/") => Kind::Directory,
        b'0' | 0 | b'7' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' | b'4' => Kind::Other("a device"),
        b'5' => Kind::Directory,
        b'6' => Kind::Other("a FIFO"),
        b'S' => SPARSE,
        _ => Kind::Other("of an unknown type"),
    }
}

fn refuse_global(records: &[u8]) -> Result<(), ImageError> {
    let mut global = Extended::default();
    global.read(records)?;
    if global.changes_reading() {
        return Err(ImageError::corrupt("a tar gives all its entries one name or size"));
    }
    Ok(())
}

fn until_nul(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|byte| *byte == 0) {
        name.truncate(end);
    }
    name
}

/// Fills the buffer, or as much of it as there is.
fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
