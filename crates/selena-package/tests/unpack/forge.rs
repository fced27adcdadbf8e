//! A ZIP writer whose every header field can lie.

use std::io::Write;

use flate2::{Compression, write::DeflateEncoder};

/// The manifest that [`Zip::new`] begins with.
pub(crate) const MANIFEST: &[u8] = br#"{"name":"lamp"}"#;

/// What stands behind an entry's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Descriptor {
    None,
    /// With signature or without, with sizes of 8 bytes or of 4.
    Some {
        signed: bool,
        large: bool,
    },
}

/// An entry's header fields; the local header and the central directory have one each.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) packed: u32,
    pub(crate) size: u32,
    pub(crate) name: Vec<u8>,
    pub(crate) extra: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) local: Header,
    pub(crate) central: Header,
    pub(crate) attributes: u32,
    /// Where the central directory says the local header is; as it is, if `None`.
    pub(crate) header_at: Option<u32>,
    pub(crate) data: Vec<u8>,
    pub(crate) descriptor: Descriptor,
    /// Bytes behind the data that no header names.
    pub(crate) junk: Vec<u8>,
}

/// An archive being forged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zip {
    pub(crate) entries: Vec<Entry>,
    pub(crate) prefix: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    pub(crate) zip64: bool,
    /// Added to the count of the end record, wrapping.
    pub(crate) extra_count: u64,
    /// Added to where the end record says the directory begins.
    pub(crate) shift: u64,
}

pub(crate) fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn len32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

fn len16(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap().to_le_bytes()
}

impl Zip {
    /// An archive with a manifest.
    pub(crate) fn new() -> Self {
        Self::bare().file("manifest.json", MANIFEST)
    }

    /// An archive without entries.
    pub(crate) fn bare() -> Self {
        Self::default()
    }

    /// Adds a stored file.
    pub(crate) fn file(self, name: impl AsRef<[u8]>, data: &[u8]) -> Self {
        self.packed(name.as_ref(), data.to_vec(), 0, crc32fast::hash(data), len32(data))
    }

    /// Adds a deflated file.
    pub(crate) fn deflated(self, name: impl AsRef<[u8]>, data: &[u8]) -> Self {
        self.packed(name.as_ref(), deflate(data), 8, crc32fast::hash(data), len32(data))
    }

    /// Adds a directory.
    pub(crate) fn directory(self, name: &str) -> Self {
        self.file(name, b"").attributes(0o040_755 << 16 | 0x10)
    }

    /// Adds an entry of which the packed bytes are given.
    pub(crate) fn packed(mut self, name: &[u8], data: Vec<u8>, method: u16, crc: u32, size: u32) -> Self {
        let header =
            Header { flags: 0, method, crc, packed: len32(&data), size, name: name.to_vec(), extra: Vec::new() };
        let (local, central) = (header.clone(), header);
        let (descriptor, junk) = (Descriptor::None, Vec::new());
        self.entries.push(Entry { local, central, attributes: 0, header_at: None, data, descriptor, junk });
        self
    }

    /// Changes the last entry.
    pub(crate) fn change(mut self, change: impl FnOnce(&mut Entry)) -> Self {
        change(self.entries.last_mut().unwrap());
        self
    }

    /// Changes both headers of the last entry.
    pub(crate) fn both(self, change: impl Fn(&mut Header)) -> Self {
        self.change(|entry| {
            change(&mut entry.local);
            change(&mut entry.central);
        })
    }

    pub(crate) fn attributes(self, attributes: u32) -> Self {
        self.change(|entry| entry.attributes = attributes)
    }

    /// Sets the Unix mode of the last entry.
    pub(crate) fn mode(self, mode: u32) -> Self {
        self.attributes(mode << 16)
    }

    /// Gives the last entry a data descriptor and zeros in its local header.
    pub(crate) fn streamed(self, signed: bool, large: bool) -> Self {
        self.both(|header| header.flags |= 1 << 3).change(|entry| {
            (entry.local.crc, entry.local.packed, entry.local.size) = (0, 0, 0);
            entry.descriptor = Descriptor::Some { signed, large };
        })
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The archive's bytes.
    pub(crate) fn build(&self) -> Vec<u8> {
        let (mut out, mut directory) = (self.prefix.clone(), Vec::new());
        for entry in &self.entries {
            let header_at = entry.header_at.unwrap_or(len32(&out));
            entry.write_local(&mut out);
            entry.write_central(&mut directory, header_at);
        }
        let start = out.len() as u64;
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
        out.extend(b"PK\x05\x06\0\0\0\0");
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
        out.extend(b"PK\x03\x04\x14\0");
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
        out.extend(b"PK\x01\x02\x14\x03\x14\0");
        self.central.write(out);
        out.extend([0; 6]); // comment, disk, internal attributes
        out.extend(self.attributes.to_le_bytes());
        out.extend(header_at.to_le_bytes());
        out.extend(&self.central.name);
        out.extend(&self.central.extra);
    }
}

impl Header {
    /// From flags to the lengths, which both kinds of header have in common.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.flags.to_le_bytes(), self.method.to_le_bytes(), [0, 0], [0x21, 0]].concat());
        out.extend([self.crc.to_le_bytes(), self.packed.to_le_bytes(), self.size.to_le_bytes()].concat());
        out.extend([len16(&self.name), len16(&self.extra)].concat());
    }
}
