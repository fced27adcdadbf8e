//! How an archive's parts lie: Z01, Z02, Z12 to Z16, Z22, Z24.

use super::Case;
use crate::{Entry, Zip, deflate};

/// A deflate stream of so many zeros, declared with a size; a thousandth of the zeros in bytes.
#[must_use]
pub fn bomb(zeros: usize, declared: u32) -> Zip {
    Zip::new().packed(b"bomb", deflate(&vec![0; zeros]), 8, 0, declared)
}

/// An archive of so many empty files (Z16).
#[must_use]
pub fn zip_of_entries(count: usize) -> Vec<u8> {
    (1..count).fold(Zip::new(), |zip, index| zip.file(format!("{index}"), b"")).build()
}

/// Fifield's construction: each entry's data quote the next local header as a stored deflate block, so that all share
/// one kernel of highly compressed data. Here 200 entries of 20 MB each from 20 kB (Z14).
///
/// # Panics
/// Never: its sizes fit their fields.
#[must_use]
pub fn quoted_overlap() -> Vec<u8> {
    const ENTRIES: usize = 200;
    const KERNEL: usize = 20_000_000;
    const FITS: &str = "sizes of this archive fit their fields";
    let (kernel, header_len) = (deflate(&vec![0; KERNEL]), 30 + 3);
    let quote = |header: &[u8]| {
        let len = u16::try_from(header.len()).expect(FITS);
        [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), header].concat()
    };
    // From the last entry to the first: what lies behind each local header.
    let (mut tail, mut size, mut headers) = (kernel, KERNEL, Vec::new());
    for index in (0..ENTRIES).rev() {
        let name = format!("{index:03}");
        let one = Zip::bare().packed(name.as_bytes(), tail.clone(), 8, 0, u32::try_from(size).expect(FITS));
        let local = one.build()[..header_len].to_vec();
        headers.push(one.entries[0].clone());
        tail = if index == 0 { [local, tail].concat() } else { [quote(&local), tail].concat() };
        size += header_len;
    }
    // The archive's one run of bytes, then a central directory that points into it.
    let mut zip = Zip::bare();
    for (index, entry) in headers.into_iter().rev().enumerate() {
        let at = u32::try_from(index * (header_len + 5)).expect(FITS);
        zip.entries.push(Entry { header_at: Some(at), data: Vec::new(), ..entry });
    }
    let mut directory = zip.build();
    directory.drain(..ENTRIES * header_len);
    let end = directory.len() - 6;
    directory[end..end + 4].copy_from_slice(&u32::try_from(tail.len()).expect(FITS).to_le_bytes());
    [tail, directory].concat()
}

pub(super) fn cases() -> Vec<Case> {
    [empty_and_cut(), bombs(), counts_and_offsets(), records(), comments()].concat()
}

fn empty_and_cut() -> Vec<Case> {
    let whole = Zip::new().deflated("a", &b"data ".repeat(40)).build();
    let cut = |what: &str, len: usize| Case::refused("z02", what, whole[..len].to_vec(), "zip_corrupt");
    vec![
        Case::refused("z01", "0 bytes", Vec::new(), "zip_empty"),
        Case::refused("z01", "an end record and no entry", Zip::bare().build(), "zip_empty"),
        cut("cut in the end record", whole.len() - 3),
        cut("cut in the central directory", whole.len() - 22 - 30),
        cut("cut in the data", 90),
        Case::refused("z02", "no ZIP", vec![b'x'; 70_000], "zip_corrupt"),
        Case::taken("z02", "whole", whole.clone()),
        Case::refused("z02", "a byte behind it", [whole.clone(), vec![0]].concat(), "zip_corrupt"),
        Case::refused("z02", "prepended data", [b"#!/bin/sh\n".to_vec(), whole].concat(), "zip_corrupt"),
    ]
}

fn bombs() -> Vec<Case> {
    let ten = Zip::new().deflated("a", b"0123456789").both(|header| header.size = 9);
    let mib = vec![7; 1024 * 1024];
    let (packed, crc) = (deflate(&mib), crc32fast::hash(&mib));
    let many = (0..201)
        .fold(Zip::new(), |zip, index| zip.packed(format!("{index}").as_bytes(), packed.clone(), 8, crc, 1024 * 1024));
    let inner = bomb(20_000_000, 20_000_000).build();
    let same = Zip::new().file("a", b"data").file("b", b"data").change(|entry| entry.header_at = Some(0));
    let into_directory = Zip::new().file("a", b"data").both(|header| (header.packed, header.size) = (40, 40));
    vec![
        Case::refused("z12", "declared 10 bytes, inflates to 20 MB", bomb(20_000_000, 10).build(), "zip_size"),
        Case::refused("z12", "one byte more than declared", ten.build(), "zip_size"),
        Case::refused("z12", "201 files of 1 MiB", many.build(), "zip_size"),
        Case::refused("z13", "20 MB of zeros", bomb(20_000_000, 20_000_000).build(), "zip_ratio"),
        Case::refused("z14", "two names for one local header", same.build(), "zip_overlap"),
        Case::refused("z14", "data that reach into the central directory", into_directory.build(), "zip_overlap"),
        Case::refused("z14", "quoted local headers", quoted_overlap(), "zip_overlap"),
        Case::taken("z15", "a bomb inside is only a file", Zip::new().file("inner.zip", &inner).build()),
    ]
}

fn counts_and_offsets() -> Vec<Case> {
    let one = || Zip::new().file("a", b"data");
    let counted = |extra: u64| one().with(|zip| zip.extra_count = extra).build();
    let at = |at: u32| one().change(|entry| entry.header_at = Some(at)).build();
    let zip64 = |change: fn(&mut Zip)| {
        one().with(|zip| {
            zip.zip64 = true;
            change(zip);
        })
    };
    let mut around = (1..65_537).fold(Zip::new(), |zip, index| zip.file(format!("{index}"), b""));
    around.extra_count = u64::MAX - 65_535; // 65,537 entries of which the 16-bit field shows 1
    let sentinel = one().both(|header| (header.packed, header.size) = (u32::MAX, u32::MAX));
    vec![
        Case::refused("z16", "65,000 entries", zip_of_entries(65_000), "zip_entries"),
        Case::refused("z16", "2,001 entries", zip_of_entries(2001), "zip_entries"),
        Case::refused("z16", "one entry more than there is", counted(1), "zip_corrupt"),
        Case::refused("z16", "one entry fewer than there is", counted(u64::MAX), "zip_corrupt"),
        Case::refused("z16", "65,537 entries, counted modulo 65,536", around.build(), "zip_corrupt"),
        Case::refused("z22", "local header at 1,000,000,000", at(1_000_000_000), "zip_corrupt"),
        Case::refused("z22", "local header at -16", at(u32::MAX - 15), "zip_corrupt"),
        Case::refused("z22", "local header inside of another entry", at(5), "zip_corrupt"),
        Case::taken("z22", "a true ZIP64 end record", zip64(|_| {}).build()),
        Case::refused("z22", "2^62 entries", zip64(|zip| zip.extra_count = 1 << 62).build(), "zip_corrupt"),
        Case::refused("z22", "65,536 entries too many", zip64(|zip| zip.extra_count = 65_536).build(), "zip_corrupt"),
        Case::refused("z22", "directory behind the file", zip64(|zip| zip.shift = 1 << 60).build(), "zip_corrupt"),
        Case::refused("z22", "offsets overflow", zip64(|zip| zip.shift = u64::MAX - 200).build(), "zip_corrupt"),
        Case::refused("z22", "sizes say `see ZIP64` and there is none", sentinel.build(), "zip_corrupt"),
    ]
}

/// Records of the format that no package has: parts of spanned and signed archives.
fn records() -> Vec<Case> {
    let one = || Zip::new().file("a", b"data");
    let between = |record: &[u8]| one().change(|entry| entry.junk = record.to_vec()).build();
    let tail = |record: &[u8]| one().with(|zip| zip.directory_tail = record.to_vec()).build();
    let disks = |disks: [u16; 2]| one().with(|zip| zip.disks = disks).build();
    let before = |marker: &[u8]| one().with(|zip| zip.prefix = marker.to_vec()).build();
    let mut volume = one().build();
    // The disk of the first entry, 34 bytes into its record of the central directory.
    let entry_disk = volume.len() - 22 - 47 - 59 + 34;
    volume[entry_disk] = 1;
    vec![
        Case::refused("z02", "spanning marker", before(b"PK\x07\x08"), "zip_corrupt"),
        Case::refused("z02", "marker of a split that was none", before(b"PK00"), "zip_corrupt"),
        Case::refused("z02", "archive extra data record", between(b"PK\x06\x08\x04\0\0\0evil"), "zip_corrupt"),
        Case::refused("z02", "digital signature record", tail(b"PK\x05\x05\x04\0sign"), "zip_corrupt"),
        Case::refused("z02", "second of two volumes", disks([1, 0]), "zip_corrupt"),
        Case::refused("z02", "directory on another volume", disks([0, 1]), "zip_corrupt"),
        Case::refused("z02", "an entry on another volume", volume, "zip_corrupt"),
    ]
}

fn comments() -> Vec<Case> {
    let commented = |comment: &[u8]| Zip::new().file("a", b"").with(|zip| zip.comment = comment.to_vec()).build();
    let other = Zip::new().file("evil", b"").build();
    vec![
        Case::taken("z24", "a comment of 65,535 bytes", commented(&[b'x'; 65_535])),
        Case::refused("z24", "an end record's signature in the comment", commented(b"PK\x05\x06"), "zip_corrupt"),
        Case::refused("z24", "an end record in the comment", commented(&Zip::bare().build()), "zip_corrupt"),
        Case::refused("z24", "a whole archive in the comment", commented(&other), "zip_corrupt"),
    ]
}
