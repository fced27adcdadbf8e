//! A ZIP writer whose every header field can lie.

use std::io::Write;

use flate2::{Compression, write::DeflateEncoder};

/// The manifest that [`Zip::new`] begins with.
pub const MANIFEST: &[u8] = br#"{"name":"lamp"}"#;

/// What stands behind an entry's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// Nothing.
    None,
    /// Checksum and sizes:
    /// with signature or without, with sizes of 8 bytes or of 4.
    Some {
        /// Begins with `PK\x07\x08`.
        signed: bool,
        /// Sizes of 8 bytes.
        large: bool,
    },
}

/// An entry's header fields; the local header and the central directory have one each.
#[derive(Clone, Debug)]
pub struct Header {
    /// Version needed to extract: the version of ZIP times ten in the lower byte.
    pub version: u16,
    /// General purpose bits.
    pub flags: u16,
    /// Compression method.
    pub method: u16,
    /// DOS time in the lower half, DOS date in the upper one.
    pub time: u32,
    /// CRC-32 of the data unpacked.
    pub crc: u32,
    /// Size in the archive in bytes.
    pub packed: u32,
    /// Size unpacked in bytes.
    pub size: u32,
    /// Name of the entry.
    pub name: Vec<u8>,
    /// Extra fields.
    pub extra: Vec<u8>,
}

/// An entry of which each of its two headers says what it likes.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What stands before the data.
    pub local: Header,
    /// What the central directory says.
    pub central: Header,
    /// External attributes: DOS bits, and a Unix mode in the upper half.
    pub attributes: u32,
    /// Where the central directory says the local header is; as it is, if `None`.
    pub header_at: Option<u32>,
    /// The bytes between the headers, packed or not.
    pub data: Vec<u8>,
    /// What stands behind them.
    pub descriptor: Descriptor,
    /// Bytes behind the data that no header names.
    pub junk: Vec<u8>,
}

/// An archive being forged.
#[derive(Clone, Debug, Default)]
pub struct Zip {
    /// Its entries, in the order of their data and of the central directory.
    pub entries: Vec<Entry>,
    /// Bytes before the first entry, which offsets count.
    pub prefix: Vec<u8>,
    /// Bytes behind the central directory that its size counts, as a digital signature is.
    pub directory_tail: Vec<u8>,
    /// Number of this volume, and of the one where the central directory begins.
    pub disks: [u16; 2],
    /// The archive's comment.
    pub comment: Vec<u8>,
    /// Whether there is a ZIP64 end record too.
    pub zip64: bool,
    /// Added to the count of the end record, wrapping.
    pub extra_count: u64,
    /// Added to where the end record says the directory begins.
    pub shift: u64,
}

/// The bytes as one deflate stream.
#[must_use]
pub fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).and_then(|()| encoder.finish()).expect("memory takes all that is written")
}

fn len32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a forged part is smaller than 4 GiB")
}

fn len16(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).expect("names, extra fields and comments are shorter than 64 KiB").to_le_bytes()
}

impl Zip {
    /// An archive with a manifest.
    #[must_use]
    pub fn new() -> Self {
        Self::bare().file("manifest.json", MANIFEST)
    }

    /// An archive without entries.
    #[must_use]
    pub fn bare() -> Self {
        Self::default()
    }

    /// Adds a stored file.
    #[must_use]
    pub fn file(self, name: impl AsRef<[u8]>, data: &[u8]) -> Self {
        self.packed(name.as_ref(), data.to_vec(), 0, crc32fast::hash(data), len32(data))
    }

    /// Adds a deflated file.
    #[must_use]
    pub fn deflated(self, name: impl AsRef<[u8]>, data: &[u8]) -> Self {
        self.packed(name.as_ref(), deflate(data), 8, crc32fast::hash(data), len32(data))
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, name: &str) -> Self {
        self.file(name, b"").attributes(0o040_755 << 16 | 0x10)
    }

    /// Adds an entry of which the packed bytes are given.
    #[must_use]
    pub fn packed(mut self, name: &[u8], data: Vec<u8>, method: u16, crc: u32, size: u32) -> Self {
        let header = Header {
            version: 20,
            flags: 0,
            method,
            time: 0x21 << 16,
            crc,
            packed: len32(&data),
            size,
            name: name.to_vec(),
            extra: Vec::new(),
        };
        let (local, central) = (header.clone(), header);
        let (descriptor, junk) = (Descriptor::None, Vec::new());
        self.entries.push(Entry { local, central, attributes: 0, header_at: None, data, descriptor, junk });
        self
    }

    /// Changes the last entry.
    ///
    /// # Panics
    /// If there is none, as all that change the last entry.
    #[must_use]
    pub fn change(mut self, change: impl FnOnce(&mut Entry)) -> Self {
        change(self.entries.last_mut().expect("an entry was added before"));
        self
    }

    /// Changes both headers of the last entry.
    #[must_use]
    pub fn both(self, change: impl Fn(&mut Header)) -> Self {
        self.change(|entry| {
            change(&mut entry.local);
            change(&mut entry.central);
        })
    }

    /// Sets the external attributes of the last entry.
    #[must_use]
    pub fn attributes(self, attributes: u32) -> Self {
        self.change(|entry| entry.attributes = attributes)
    }

    /// Sets the Unix mode of the last entry.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        self.attributes(mode << 16)
    }

    /// Gives the last entry a data descriptor and zeros in its local header.
    #[must_use]
    pub fn streamed(self, signed: bool, large: bool) -> Self {
        self.both(|header| header.flags |= 1 << 3).change(|entry| {
            (entry.local.crc, entry.local.packed, entry.local.size) = (0, 0, 0);
            entry.descriptor = Descriptor::Some { signed, large };
        })
    }

    /// Changes the archive.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The archive's bytes.
    ///
    /// # Panics
    /// If a name, extra field or comment has 64 KiB or more.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let (mut out, mut directory) = (self.prefix.clone(), Vec::new());
        for entry in &self.entries {
            let header_at = entry.header_at.unwrap_or(len32(&out));
            entry.write_local(&mut out);
            entry.write_central(&mut directory, header_at);
        }
        let start = out.len() as u64;
        directory.extend(&self.directory_tail);
        out.extend(&directory);
        self.write_end(&mut out, start.wrapping_add(self.shift), directory.len() as u64);
        out
    }

    fn write_end(&self, out: &mut Vec<u8>, start: u64, size: u64) {
        let count = (self.entries.len() as u64).wrapping_add(self.extra_count);
        if self.zip64 {
            let at = out.len() as u64;
            out.extend(b"PK\x06\x06");
            out.extend(44_u64.to_le_bytes());
            out.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            for number in [count, count, size, start, u64::from_le_bytes(*b"PK\x06\x07\0\0\0\0"), at] {
                out.extend(number.to_le_bytes());
            }
            out.extend(1_u32.to_le_bytes());
        }
        out.extend(b"PK\x05\x06");
        out.extend(self.disks.map(u16::to_le_bytes).concat());
        let small_count = u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes();
        out.extend([small_count, small_count].concat());
        for number in [size, start] {
            out.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        out.extend(len16(&self.comment));
        out.extend(&self.comment);
    }
}

impl Entry {
    fn write_local(&self, out: &mut Vec<u8>) {
        out.extend(b"PK\x03\x04");
        self.local.write(out);
        out.extend(&self.local.name);
        out.extend(&self.local.extra);
        out.extend(&self.data);
        if let Descriptor::Some { signed, large } = self.descriptor {
            out.extend(if signed { b"PK\x07\x08".as_slice() } else { b"" });
            out.extend(self.central.crc.to_le_bytes());
            for number in [self.central.packed, self.central.size] {
                let bytes = u64::from(number).to_le_bytes();
                out.extend(if large { &bytes[..] } else { &bytes[..4] });
            }
        }
        out.extend(&self.junk);
    }

    fn write_central(&self, out: &mut Vec<u8>, header_at: u32) {
        out.extend(b"PK\x01\x02\x14\x03");
        self.central.write(out);
        out.extend([0; 6]); // comment, disk, internal attributes
        out.extend(self.attributes.to_le_bytes());
        out.extend(header_at.to_le_bytes());
        out.extend(&self.central.name);
        out.extend(&self.central.extra);
    }
}

impl Header {
    /// From the version to the lengths, which both kinds of header have in common.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.version, self.flags, self.method].map(u16::to_le_bytes).concat());
        out.extend(
            [self.time.to_le_bytes(), self.crc.to_le_bytes(), self.packed.to_le_bytes(), self.size.to_le_bytes()]
                .concat(),
        );
        out.extend([len16(&self.name), len16(&self.extra)].concat());
    }
}
