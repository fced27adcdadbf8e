//! Z01, Z02, Z14, Z16, Z22, Z24: how an archive's parts lie.

use std::time::Instant;

use super::{Zip, forge, refused, taken};

#[test]
fn z01_empty_archives_are_refused() {
    refused("0 bytes", b"", "zip_empty");
    refused("22 bytes", &Zip::bare().build(), "zip_empty");
    refused("ZIP64, no entries", &Zip::bare().with(|zip| zip.zip64 = true).build(), "zip_empty");
}

#[test]
fn z02_cut_archives_are_refused_wherever_the_cut_is() {
    let whole = Zip::new().deflated("a", &b"data ".repeat(40)).build();
    for len in 1..whole.len() {
        refused(&format!("first {len} of {} bytes", whole.len()), &whole[..len], "zip_corrupt");
    }
    refused("no ZIP", &[b'x'; 70_000], "zip_corrupt");
    refused("its end is cut off inside", &[&whole[..60], &whole[61..]].concat(), "zip_corrupt");
}

#[test]
fn z02_any_flipped_bit_of_the_framing_is_no_panic() {
    let whole = Zip::new().deflated("a/b", &b"data ".repeat(40)).streamed(true, false).build();
    for index in 0..whole.len() {
        for bit in 0..8 {
            let mut bad = whole.clone();
            bad[index] ^= 1 << bit;
            let staging = super::Staging::new();
            if staging.unpack(&bad).is_err() {
                assert_eq!(staging.all_paths(), ["secret", "staging"], "byte {index} bit {bit}");
            }
        }
    }
}

#[test]
fn z14_overlapping_entries_are_refused_before_anything_is_inflated() {
    // Full overlap: two names for the same local header.
    let same = Zip::new().file("a", b"data").file("b", b"data").change(|entry| entry.header_at = Some(0));
    refused("full overlap", &same.build(), "zip_overlap");
    refused("quoted overlap", &forge::quoted_overlap(), "zip_overlap");
    let into_directory = Zip::new().file("a", b"data").both(|header| (header.packed, header.size) = (40, 40));
    refused("into the central directory", &into_directory.build(), "zip_overlap");
    let behind = Zip::new().file("a", b"").change(|entry| entry.header_at = Some(4_000_000));
    refused("outside of the file", &behind.build(), "zip_corrupt");
}

#[test]
fn junk_before_between_and_behind_entries_is_refused() {
    let zip = || Zip::new().file("a", b"data");
    refused("before, offsets right", &zip().with(|zip| zip.prefix = b"#!/bin/sh\n".to_vec()).build(), "zip_corrupt");
    refused("before, offsets wrong", &[b"#!/bin/sh\n".to_vec(), zip().build()].concat(), "zip_corrupt");
    refused("between", &zip().change(|entry| entry.junk = vec![0; 9]).file("b", b"").build(), "zip_corrupt");
    refused("before the directory", &zip().change(|entry| entry.junk = vec![0; 9]).build(), "zip_corrupt");
    refused("behind", &[zip().build(), vec![0]].concat(), "zip_corrupt");
}

#[test]
fn z16_too_many_entries_are_refused_at_once() {
    for count in [65_000, 2001] {
        let archive = (0..count).fold(Zip::bare(), |zip, index| zip.file(format!("{index}"), b"")).build();
        let start = Instant::now();
        refused(&format!("{count}"), &archive, "zip_entries");
        assert!(start.elapsed().as_secs() < 1, "{count}");
    }
    let archive = (0..1999).fold(Zip::new(), |zip, index| zip.file(format!("{index}"), b"")).build();
    super::Staging::new().unpack(&archive).unwrap();
    let directories = (0..200).fold(Zip::new(), |zip, index| zip.file(format!("{index}/b/c/d/e/f/g/h/i/j/k/l"), b""));
    refused("implied directories", &directories.build(), "zip_entries");
}

#[test]
fn z16_a_count_that_lies_is_refused() {
    let zip = || Zip::new().file("a", b"");
    refused("one more", &zip().with(|zip| zip.extra_count = 1).build(), "zip_corrupt");
    refused("one fewer", &zip().with(|zip| zip.extra_count = u64::MAX).build(), "zip_corrupt");
}

#[test]
fn z22_zip64_is_read_and_its_lies_are_refused() {
    let zip = |change: fn(&mut Zip)| {
        Zip::new().file("a", b"data").with(|zip| {
            zip.zip64 = true;
            change(zip);
        })
    };
    taken("true", &zip(|_| {}).build(), &["a"]);
    refused("2^62 entries", &zip(|zip| zip.extra_count = 1 << 62).build(), "zip_corrupt");
    refused("65,536 entries", &zip(|zip| zip.extra_count = 65_536).build(), "zip_corrupt");
    refused("directory behind the file", &zip(|zip| zip.shift = 1 << 60).build(), "zip_corrupt");
    refused("sum overflows", &zip(|zip| zip.shift = u64::MAX - 200).build(), "zip_corrupt");
    let large = |size: u64, packed: u64, at: u64| {
        let numbers = [size.to_le_bytes(), packed.to_le_bytes(), at.to_le_bytes()].concat();
        Zip::new().file("a", b"data").change(|entry| {
            (entry.central.size, entry.central.packed, entry.header_at) = (u32::MAX, u32::MAX, Some(u32::MAX));
            entry.central.extra = [b"\x01\0\x18\0".to_vec(), numbers].concat();
        })
    };
    let at = Zip::new().build().len() as u64 - 22 - 46 - 13;
    taken("an entry's true numbers", &large(4, 4, at).build(), &["a"]);
    refused("local header at 2^60", &large(4, 4, 1 << 60).build(), "zip_corrupt");
    refused("local header at 2^64 - 1", &large(4, 4, u64::MAX).build(), "zip_corrupt");
    refused("packed size 2^60", &large(1 << 60, 1 << 60, at).build(), "zip_corrupt");
    refused("packed size 2^64 - 1", &large(u64::MAX, u64::MAX, at).build(), "zip_corrupt");
    let cut = large(4, 4, at).change(|entry| entry.central.extra.truncate(20));
    refused("field cut", &cut.build(), "zip_corrupt");
    let unused = Zip::new().file("a", b"data").change(|entry| entry.central.extra = b"\x01\0\x08\0evilsize".to_vec());
    refused("numbers that no field asks for", &unused.build(), "zip_corrupt");
    let twice = large(4, 4, at).change(|entry| entry.central.extra.extend(b"\x01\0\0\0"));
    refused("two ZIP64 fields", &twice.build(), "zip_corrupt");
}

#[test]
fn z24_comments_hide_no_second_archive() {
    let commented = |comment: &[u8]| Zip::new().file("a", b"").with(|zip| zip.comment = comment.to_vec()).build();
    taken("65,535 bytes", &commented(&[b'x'; 65_535]), &["a"]);
    refused("only the signature", &commented(b"PK\x05\x06"), "zip_corrupt");
    let elsewhere = [b"PK\x05\x06".as_slice(), &[0; 30]].concat();
    refused("a signature whose comment ends elsewhere", &commented(&elsewhere), "zip_corrupt");
    refused("many signatures", &commented(&b"PK\x05\x06".repeat(16_000)), "zip_corrupt");
    let other = Zip::new().file("evil", b"").build();
    refused("a whole archive", &commented(&other), "zip_corrupt");
    refused("an end record", &commented(&Zip::bare().build()), "zip_corrupt");
    let mut lying = commented(b"comment");
    let len_at = lying.len() - 9;
    lying[len_at] = 8;
    refused("a comment longer than the file", &lying, "zip_corrupt");
}
