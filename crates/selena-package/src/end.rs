//! The end of an archive: where its central directory lies (Z01, Z02, Z22, Z24).

use crate::{ZipError, bytes::Bytes, source::Source};

const END_LEN: usize = 22;
const END: u32 = 0x0605_4b50;
const END64_LEN: usize = 56;
const END64: u32 = 0x0606_4b50;
const LOCATOR_LEN: usize = 20;
const LOCATOR: u32 = 0x0706_4b50;

/// Where the central directory lies, and how many entries it claims to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    /// First byte, behind all entries.
    pub(crate) start: u64,
    /// First byte behind it.
    pub(crate) end: u64,
    /// Claimed count; it fits into the directory's size and allocates nothing.
    pub(crate) entries: u64,
}

/// The numbers of an end record, classic or ZIP64.
struct Numbers {
    disks: [u32; 2],
    entries: [u64; 2],
    size: u64,
    start: u64,
}

/// Smallest entry of a central directory in bytes.
const MIN_ENTRY: u64 = 46;

/// Finds the central directory. It must end where the end records begin, and they where the file ends.
pub(crate) fn find(source: &Source<'_>) -> Result<Directory, ZipError> {
    let at = find_end(source)?;
    let record: [u8; END_LEN] = source.record(at)?;
    let classic = parse_classic(&record).ok_or(CUT)?;
    let (numbers, end) = match find_end64(source, at)? {
        Some((numbers, end)) => (agreeing(&classic, numbers)?, end),
        None => (classic, at),
    };
    if numbers.disks != [0, 0] || numbers.entries[0] != numbers.entries[1] {
        return Err(ZipError::Corrupt("it claims to be one of several volumes"));
    }
    if numbers.start.checked_add(numbers.size) != Some(end) {
        return Err(ZipError::Corrupt("its central directory is not where the end record says"));
    }
    match numbers.entries[0] {
        0 if numbers.size == 0 => Err(ZipError::Empty),
        count if count > numbers.size / MIN_ENTRY => Err(ZipError::Corrupt("it claims more entries than it has")),
        entries => Ok(Directory { start: numbers.start, end, entries }),
    }
}

const CUT: ZipError = ZipError::Corrupt("its end record is missing");

/// Position of the end record: the last one, whose comment reaches exactly to the end of the file. Other readers take
/// the last signature, or the first that fits; where those are two, they would disagree about which archive this is.
fn find_end(source: &Source<'_>) -> Result<u64, ZipError> {
    let longest = (END_LEN + usize::from(u16::MAX)).min(usize::try_from(source.len()).unwrap_or(usize::MAX));
    let mut tail = vec![0; longest];
    let tail_start = source.len() - longest as u64;
    source.read(&mut tail, tail_start)?;
    let signed: Vec<_> = tail.windows(4).enumerate().filter(|(_, window)| *window == END.to_le_bytes()).collect();
    let fits = |index: usize| {
        let comment = tail.get(index + END_LEN - 2..).and_then(|rest| Bytes(rest).u16());
        comment.is_some_and(|comment| index + END_LEN + usize::from(comment) == longest)
    };
    let fitting = signed.iter().filter(|(index, _)| fits(*index)).count();
    match signed.last() {
        _ if fitting > 1 => Err(ZipError::Corrupt("it has two end records")),
        Some((index, _)) if fits(*index) => Ok(tail_start + *index as u64),
        Some(_) if fitting == 1 => Err(ZipError::Corrupt("its comment holds the signature of an end record")),
        _ => Err(CUT),
    }
}

fn parse_classic(record: &[u8]) -> Option<Numbers> {
    let mut bytes = Bytes(record.get(4..)?);
    Some(Numbers {
        disks: [bytes.u16()?.into(), bytes.u16()?.into()],
        entries: [bytes.u16()?.into(), bytes.u16()?.into()],
        size: bytes.u32()?.into(),
        start: bytes.u32()?.into(),
    })
}

/// The ZIP64 end record and its position, if a locator stands right before the classic one.
fn find_end64(source: &Source<'_>, end_at: u64) -> Result<Option<(Numbers, u64)>, ZipError> {
    let Some(locator_at) = end_at.checked_sub(LOCATOR_LEN as u64) else {
        return Ok(None);
    };
    let locator: [u8; LOCATOR_LEN] = source.record(locator_at)?;
    let mut bytes = Bytes(&locator);
    if bytes.u32() != Some(LOCATOR) {
        return Ok(None);
    }
    let bad = ZipError::Corrupt("its ZIP64 end record is not where it should be");
    let (Some(0), Some(at), Some(1)) = (bytes.u32(), bytes.u64(), bytes.u32()) else {
        return Err(bad);
    };
    if at.checked_add(END64_LEN as u64) != Some(locator_at) {
        return Err(bad);
    }
    let record: [u8; END64_LEN] = source.record(at)?;
    parse_end64(&record).map(|numbers| Some((numbers, at))).ok_or(bad)
}

fn parse_end64(record: &[u8]) -> Option<Numbers> {
    let mut bytes = Bytes(record);
    let (signature, len) = (bytes.u32()?, bytes.u64()?);
    if signature != END64 || len != END64_LEN as u64 - 12 {
        return None;
    }
    bytes.take(4)?;
    Some(Numbers {
        disks: [bytes.u32()?, bytes.u32()?],
        entries: [bytes.u64()?, bytes.u64()?],
        size: bytes.u64()?,
        start: bytes.u64()?,
    })
}

/// The ZIP64 numbers, if each classic one is the same or says "see there".
fn agreeing(classic: &Numbers, numbers: Numbers) -> Result<Numbers, ZipError> {
    let same = |small: u64, see_there: u64, large: u64| small == see_there || small == large;
    let (few, many) = (u64::from(u16::MAX), u64::from(u32::MAX));
    let agree = same(classic.entries[0], few, numbers.entries[0])
        && same(classic.entries[1], few, numbers.entries[1])
        && same(classic.size, many, numbers.size)
        && same(classic.start, many, numbers.start)
        && classic.disks.iter().all(|disk| *disk == 0 || *disk == u32::from(u16::MAX));
    if agree { Ok(numbers) } else { Err(ZipError::Corrupt("its two end records differ")) }
}
