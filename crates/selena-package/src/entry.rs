//! One entry of the central directory, checked on its own (Z03 to Z08, Z13, Z19, Z20).

use crate::{
    Limits, ZipError,
    bytes::Bytes,
    error::shown,
    extra,
    kind::{self, Kind},
    name,
    source::Source,
};

const SIGNATURE: u32 = 0x0201_4b50;
const FIXED_LEN: usize = 46;

/// Bit 3: sizes and checksum stand behind the data, not in the local header.
pub(crate) const HAS_DESCRIPTOR: u16 = 1 << 3;
/// Bits 0, 6 and 13: encrypted, strong encryption, masked headers.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
/// Bits 1 and 2 (how hard was compressed), 3, and 11 (the name is UTF-8).
const HARMLESS: u16 = 1 << 1 | 1 << 2 | HAS_DESCRIPTOR | NAME_IS_UTF8;
/// Bit 11. Without it readers take a name for code page 437, and see another one than we do.
const NAME_IS_UTF8: u16 = 1 << 11;
/// Newest version of the format, 6.3; what asks for a newer one is refused by other readers too.
const NEWEST_VERSION: u8 = 63;

/// How an entry's data are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// As they are.
    Stored,
    /// By deflate.
    Deflate,
}

/// An entry as the central directory describes it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Relative path with `/`, none at the end.
    pub(crate) path: String,
    /// The name as it stands in the archive.
    pub(crate) raw_name: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) flags: u16,
    pub(crate) method: Method,
    pub(crate) crc: u32,
    /// Size in the archive in bytes.
    pub(crate) packed: u64,
    /// Size unpacked in bytes.
    pub(crate) size: u64,
    /// Position of the local header.
    pub(crate) header_at: u64,
}

/// The fixed part of a central directory entry.
struct Fixed {
    version: u8,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    name_len: u16,
    extra_len: u16,
    comment_len: u16,
    disk: u16,
    attributes: u32,
    header_at: u64,
}

impl Method {
    /// The number of the method in headers.
    pub(crate) fn number(self) -> u16 {
        match self {
            Self::Stored => 0,
            Self::Deflate => 8,
        }
    }
}

impl Entry {
    /// Reads the entry at a position of the central directory; also the position behind it, at most `end`.
    pub(crate) fn read(source: &Source<'_>, at: u64, end: u64, limits: &Limits) -> Result<(Self, u64), ZipError> {
        let cut = ZipError::Corrupt("its central directory is cut");
        if end.saturating_sub(at) < FIXED_LEN as u64 {
            return Err(cut);
        }
        let record: [u8; FIXED_LEN] = source.record(at)?;
        let fixed = Fixed::parse(&record).ok_or(ZipError::Corrupt("an entry of its central directory is none"))?;
        let name_at = at + FIXED_LEN as u64;
        let extra_at = name_at + u64::from(fixed.name_len);
        let next = extra_at + u64::from(fixed.extra_len) + u64::from(fixed.comment_len);
        if next > end {
            return Err(cut);
        }
        let name = source.part(name_at, fixed.name_len)?;
        let extra = source.part(extra_at, fixed.extra_len)?;
        Ok((Self::check(fixed, name, &extra, limits)?, next))
    }

    fn check(mut fixed: Fixed, raw_name: Vec<u8>, extra: &[u8], limits: &Limits) -> Result<Self, ZipError> {
        let (path, named_directory) = name::check(&raw_name, limits)?;
        let path = path.to_owned();
        if !path.is_ascii() && fixed.flags & NAME_IS_UTF8 == 0 {
            let why = "it is not ASCII and not marked as UTF-8";
            return Err(ZipError::Name { name: shown(&raw_name), why });
        }
        extra::apply(extra, &raw_name, &mut [&mut fixed.size, &mut fixed.packed, &mut fixed.header_at])?;
        let kind = kind::check(fixed.attributes, named_directory, &raw_name)?;
        let method = fixed.method(&raw_name)?;
        if fixed.disk != 0 {
            return Err(ZipError::Corrupt("it claims to be one of several volumes"));
        }
        let Fixed { flags, crc, packed, size, header_at, .. } = fixed;
        Ok(Self { path, raw_name, kind, flags, method, crc, packed, size, header_at })
    }

    /// Checks the declared sizes. Unpacking stops at the declared size, so these bounds hold for what is written too.
    pub(crate) fn check_size(&self, limits: &Limits) -> Result<(), ZipError> {
        let name = || shown(&self.raw_name);
        if self.size > limits.total_bytes {
            return Err(ZipError::Size { what: format!("entry {}", name()), limit: limits.total_bytes });
        }
        if self.method == Method::Stored && self.packed != self.size {
            return Err(ZipError::Mismatch { name: name(), what: "the two sizes of stored data" });
        }
        if self.kind == Kind::Directory && self.size != 0 {
            return Err(ZipError::Type(name()));
        }
        if self.size > limits.ratio_from_bytes && self.size > self.packed.saturating_mul(limits.ratio) {
            return Err(ZipError::Ratio { name: name(), ratio: limits.ratio });
        }
        Ok(())
    }
}

impl Fixed {
    fn parse(record: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(record);
        if bytes.u32()? != SIGNATURE {
            return None;
        }
        bytes.take(2)?; // by what it was made
        let [version, _system] = bytes.u16()?.to_le_bytes();
        let (flags, method) = (bytes.u16()?, bytes.u16()?);
        bytes.take(4)?; // time and date
        Some(Self {
            version,
            flags,
            method,
            crc: bytes.u32()?,
            packed: bytes.u32()?.into(),
            size: bytes.u32()?.into(),
            name_len: bytes.u16()?,
            extra_len: bytes.u16()?,
            comment_len: bytes.u16()?,
            disk: bytes.u16()?,
            attributes: bytes.take(2).and_then(|_| bytes.u32())?, // behind the internal attributes
            header_at: bytes.u32()?.into(),
        })
    }

    fn method(&self, name: &[u8]) -> Result<Method, ZipError> {
        const AES: u16 = 99;
        if self.flags & ENCRYPTED != 0 || self.method == AES {
            return Err(ZipError::Encrypted(shown(name)));
        }
        if self.flags & !HARMLESS != 0 {
            return Err(ZipError::Corrupt("an entry has flags that this hub does not know"));
        }
        if self.version > NEWEST_VERSION {
            return Err(ZipError::Version { name: shown(name), version: self.version });
        }
        match self.method {
            0 => Ok(Method::Stored),
            8 => Ok(Method::Deflate),
            method => Err(ZipError::Method { name: shown(name), method }),
        }
    }
}
