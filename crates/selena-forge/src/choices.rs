//! An archive from arbitrary bytes: each byte decides one thing, so that every string of bytes is an archive that is
//! good but for a few lies.

use flate2::{Decompress, FlushDecompress};

use crate::{Zip, deflate};

/// Names that meet each other: cases, prefixes, parents, and what no name may be.
const NAMES: [&[u8]; 24] = [
    b"manifest.json",
    b"Manifest.json",
    b"a",
    b"A",
    b"a/",
    b"a/b",
    b"a/b/",
    b"a/b/c",
    b"ab",
    b"b",
    b"main.py",
    b"..",
    b"../a",
    b"/a",
    b"a\\b",
    b"a\0b",
    b"",
    b"con",
    b"a.",
    "é".as_bytes(),
    "e\u{301}".as_bytes(),
    b"\x82",
    b"x/y/z/w",
    b"SIGNATURE.json",
];

/// The bytes that decide, one after the other; zeros once there are none left.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// True about once in so many bytes that are random.
    fn one_in(&mut self, many: u8) -> bool {
        self.byte() % many == many - 1
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = usize::from(self.byte()).min(most).min(self.0.len());
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken.to_vec()
    }

    fn number(&mut self) -> u32 {
        const EDGES: [u32; 8] = [0, 1, 4, 255, 65_535, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff];
        EDGES[usize::from(self.byte()) % EDGES.len()]
    }
}

/// Makes an archive as the bytes decide; the same bytes make the same archive.
#[must_use]
pub fn from_choices(bytes: &[u8]) -> Vec<u8> {
    let mut choices = Choices(bytes);
    let mut zip = if choices.one_in(8) { Zip::bare() } else { Zip::new() };
    for _ in 0..=choices.byte() % 4 {
        zip = lie_about_entry(add_entry(zip, &mut choices), &mut choices);
    }
    lie_about_archive(&mut zip, &mut choices);
    let mut archive = zip.build();
    if choices.one_in(8) {
        let at = (usize::from(choices.byte()) << 8 | usize::from(choices.byte())) % archive.len();
        archive[at] ^= choices.byte();
    }
    archive
}

fn add_entry(zip: Zip, choices: &mut Choices<'_>) -> Zip {
    let name = match choices.one_in(6) {
        true => choices.bytes(40),
        false => NAMES[usize::from(choices.byte()) % NAMES.len()].to_vec(),
    };
    let zip = match choices.byte() % 4 {
        0 => zip.file(name, &choices.bytes(64)),
        1 => zip.deflated(name, &choices.bytes(64)),
        2 => zip.deflated(name, &vec![choices.byte(); usize::from(choices.byte()) * 64]),
        _ if choices.one_in(2) => deflate_stream(zip, &name, &[&choices.bytes(200)[..], &[0]].concat()),
        _ => deflate_stream(zip, &name, &damaged_stream(choices)),
    };
    if choices.one_in(2) { zip.both(|header| header.flags |= 1 << 11) } else { zip }
}

/// A good stream of which two bytes are others.
fn damaged_stream(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut stream = deflate(&choices.bytes(80).repeat(3));
    for _ in 0..2 {
        let at = usize::from(choices.byte()) % stream.len();
        stream[at] ^= choices.byte();
    }
    stream
}

/// An entry whose packed data are the bytes themselves. Checksum and size are those of what they unpack to, so that
/// only the stream itself can be at fault.
fn deflate_stream(zip: Zip, name: &[u8], packed: &[u8]) -> Zip {
    let (mut stream, mut unpacked) = (Decompress::new(false), Vec::with_capacity(1 << 16));
    // A stream that breaks has unpacked to something until then.
    let _broken = stream.decompress_vec(packed, &mut unpacked, FlushDecompress::Finish);
    let size = u32::try_from(unpacked.len()).unwrap_or_default();
    let used = usize::try_from(stream.total_in()).unwrap_or_default().clamp(1, packed.len());
    zip.packed(name, packed[..used].to_vec(), 8, crc32fast::hash(&unpacked), size)
}

fn lie_about_entry(zip: Zip, choices: &mut Choices<'_>) -> Zip {
    let local_only = choices.one_in(3);
    let (kind, number, extra) = (choices.byte() % 24, choices.number(), choices.byte());
    let small = u16::try_from(number & 0xffff).unwrap_or_default();
    let zip = match extra % 8 {
        6 => zip.streamed(number & 1 == 0, number & 4 == 0),
        7 => zip.mode(0o100_644 ^ u32::from(choices.byte()) << 8),
        _ => zip,
    };
    let own_extra = choices.bytes(40);
    zip.change(|entry| {
        let header = if local_only { &mut entry.local } else { &mut entry.central };
        match kind {
            0 => header.size = number,
            1 => header.packed = number,
            2 => header.crc ^= number,
            3 => header.flags ^= 1 << (extra % 16),
            4 => header.method = small,
            5 => header.version = small,
            6 => header.time = number,
            7 => header.name.push(extra),
            8 => header.extra = own_extra,
            9 => header.extra = unicode_path(&header.name, &own_extra),
            10 => header.extra = zip64_field(header.size, number),
            11 => entry.header_at = Some(number),
            12 => entry.junk = own_extra,
            _ => {}
        }
    })
}

fn unicode_path(name: &[u8], other: &[u8]) -> Vec<u8> {
    let shown = if other.is_empty() { name } else { other };
    let len = u16::try_from(shown.len() + 5).unwrap_or_default();
    [&b"\x75\x70"[..], &len.to_le_bytes(), b"\x01", &crc32fast::hash(name).to_le_bytes(), shown].concat()
}

fn zip64_field(size: u32, number: u32) -> Vec<u8> {
    let numbers = [u64::from(size).to_le_bytes(), u64::from(number).to_le_bytes()].concat();
    [&b"\x01\0\x10\0"[..], &numbers].concat()
}

fn lie_about_archive(zip: &mut Zip, choices: &mut Choices<'_>) {
    match choices.byte() % 16 {
        0 => zip.prefix = choices.bytes(20),
        1 => zip.comment = choices.bytes(60),
        2 => zip.comment = Zip::new().file("evil", b"").build(),
        3 => zip.zip64 = true,
        4 => zip.extra_count = u64::from(choices.number()),
        5 => zip.shift = u64::from(choices.number()),
        6 => zip.disks = [u16::from(choices.byte()), 0],
        7 => zip.directory_tail = choices.bytes(20),
        8 => {
            zip.zip64 = true;
            zip.shift = u64::from(choices.number());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_make_a_good_archive_and_all_bytes_make_one() {
        assert!(from_choices(b"").windows(13).any(|name| name == b"manifest.json"));
        for byte in 0..=u8::MAX {
            let bytes = [byte; 80];
            assert_eq!(from_choices(&bytes), from_choices(&bytes), "{byte}");
        }
    }
}
