//! Local headers, and that entries lie side by side: no overlap, no gap, nothing before and nothing unread
//! (Z11, Z14, Z23).

use crate::{
    ZipError,
    bytes::Bytes,
    entry::{Entry, HAS_DESCRIPTOR},
    error::shown,
    extra,
    source::Source,
};

const SIGNATURE: u32 = 0x0403_4b50;
const FIXED_LEN: usize = 30;
const DESCRIPTOR: u32 = 0x0807_4b50;

/// A local header and where what it describes lies.
struct Local {
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    name_len: u16,
    extra_len: u16,
    /// First byte of the data.
    data_at: u64,
    /// First byte behind the data.
    data_end: u64,
}

/// Checks all local headers against the entries; the position of each entry's data, in the entries' order.
pub(crate) fn check(source: &Source<'_>, entries: &[Entry], directory_at: u64) -> Result<Vec<u64>, ZipError> {
    let locals = entries.iter().map(|entry| Local::read(source, entry)).collect::<Result<Vec<_>, _>>()?;
    let mut order: Vec<_> = entries.iter().zip(&locals).collect();
    order.sort_by_key(|(entry, _)| entry.header_at);
    let ends = order.iter().skip(1).map(|(entry, _)| entry.header_at).chain([directory_at]);
    let parts: Vec<_> = order.iter().copied().zip(ends).collect();
    check_tiling(&parts)?;
    for ((entry, local), end) in &parts {
        local.compare(source, entry)?;
        local.check_behind(source, entry, *end)?;
    }
    Ok(locals.iter().map(|local| local.data_at).collect())
}

/// Checks that each entry ends before the next begins, and that the first is the archive's first byte.
fn check_tiling(parts: &[((&Entry, &Local), u64)]) -> Result<(), ZipError> {
    for ((entry, local), end) in parts {
        if local.data_end > *end {
            return Err(ZipError::Overlap(shown(&entry.raw_name)));
        }
    }
    match parts.first() {
        Some(((entry, _), _)) if entry.header_at == 0 => Ok(()),
        _ => Err(ZipError::Corrupt("it does not begin with an entry")),
    }
}

impl Local {
    fn read(source: &Source<'_>, entry: &Entry) -> Result<Self, ZipError> {
        let outside = ZipError::Corrupt("an entry lies outside of the file");
        if entry.header_at.checked_add(FIXED_LEN as u64).is_none_or(|end| end > source.len()) {
            return Err(outside);
        }
        let record: [u8; FIXED_LEN] = source.record(entry.header_at)?;
        let mut local = Self::parse(&record).ok_or(ZipError::Corrupt("an entry has no local header"))?;
        local.data_at = entry.header_at + FIXED_LEN as u64 + u64::from(local.name_len) + u64::from(local.extra_len);
        local.data_end = local.data_at.checked_add(entry.packed).ok_or(ZipError::Corrupt("an entry is too large"))?;
        if local.data_end > source.len() { Err(outside) } else { Ok(local) }
    }

    fn parse(record: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(record);
        if bytes.u32()? != SIGNATURE {
            return None;
        }
        bytes.take(2)?; // version
        let (flags, method) = (bytes.u16()?, bytes.u16()?);
        bytes.take(4)?; // time and date
        Some(Self {
            flags,
            method,
            crc: bytes.u32()?,
            packed: bytes.u32()?.into(),
            size: bytes.u32()?.into(),
            name_len: bytes.u16()?,
            extra_len: bytes.u16()?,
            data_at: 0,
            data_end: 0,
        })
    }

    /// Checks that the local header says what the central directory says.
    fn compare(&self, source: &Source<'_>, entry: &Entry) -> Result<(), ZipError> {
        let name_at = entry.header_at + FIXED_LEN as u64;
        let name = source.part(name_at, self.name_len)?;
        let extra = source.part(name_at + u64::from(self.name_len), self.extra_len)?;
        let (mut size, mut packed) = (self.size, self.packed);
        extra::apply(&extra, &name, &mut [&mut size, &mut packed])?;
        let deferred = entry.flags & HAS_DESCRIPTOR != 0;
        let same = |local: u64, central: u64| local == central || (deferred && local == 0);
        let what = match () {
            () if name != entry.raw_name => "name",
            () if self.flags != entry.flags => "flags",
            () if self.method != entry.method.number() => "method",
            () if !same(self.crc.into(), entry.crc.into()) => "CRC",
            () if !same(size, entry.size) || !same(packed, entry.packed) => "sizes",
            () => return Ok(()),
        };
        Err(ZipError::Mismatch { name: shown(&entry.raw_name), what })
    }

    /// Checks that nothing stands behind the data but the data descriptor, if the entry has one.
    fn check_behind(&self, source: &Source<'_>, entry: &Entry, end: u64) -> Result<(), ZipError> {
        let len = end - self.data_end;
        if entry.flags & HAS_DESCRIPTOR == 0 {
            let gap = ZipError::Corrupt("there are bytes between its entries");
            return if len == 0 { Ok(()) } else { Err(gap) };
        }
        let (12 | 16 | 20 | 24) = len else {
            return Err(ZipError::Corrupt("an entry's data descriptor is missing or too long"));
        };
        let descriptor = source.part(self.data_end, u16::try_from(len).unwrap_or_default())?;
        if parse_descriptor(&descriptor) == Some((entry.crc, entry.packed, entry.size)) {
            return Ok(());
        }
        Err(ZipError::Mismatch { name: shown(&entry.raw_name), what: "data descriptor" })
    }
}

/// Checksum, packed and unpacked size of a descriptor: with or without signature, sizes of 4 or of 8 bytes.
fn parse_descriptor(descriptor: &[u8]) -> Option<(u32, u64, u64)> {
    let mut bytes = Bytes(descriptor);
    let (signed, large) = (matches!(descriptor.len(), 16 | 24), descriptor.len() >= 20);
    if signed && bytes.u32()? != DESCRIPTOR {
        return None;
    }
    let crc = bytes.u32()?;
    let mut number = || if large { bytes.u64() } else { bytes.u32().map(u64::from) };
    Some((crc, number()?, number()?))
}
