//! What is said of entries: Z03 to Z11, Z17 to Z23.

use super::Case;
use crate::{Descriptor, Header, Zip};

/// Bit 11 of the flags: the name is UTF-8.
const UTF8: u16 = 1 << 11;

pub(super) fn cases() -> Vec<Case> {
    [names(), encodings(), types(), twice(), headers(), extra_fields(), methods(), descriptors()].concat()
}

fn names() -> Vec<Case> {
    let (long, deep) = ("a".repeat(5000), "a/".repeat(2000) + "a");
    let bad = [
        ("z03", "zip_path", &["../x", "a/../../x", "a/../b"][..]),
        ("z04", "zip_path", &["/etc/passwd", "//x", "\\x", "C:\\x", "\\\\host\\share\\x"]),
        ("z05", "zip_path", &["..\\..\\x", "..\\/x"]),
        ("z06", "zip_name", &["", ".", "a\0b", "a\nb", "a\u{202e}exe.txt", "a.", "a ", "CON", "lpt1.txt", "a//b"]),
        ("z17", "zip_name", &[&deep, &long]),
    ];
    let case = |(id, code, names): (&'static str, &'static str, &[&str])| {
        let of = |name: &&str| {
            let shown: String = name.escape_default().take(40).collect();
            let zip = Zip::new().file(name, b"evil").both(|header| header.flags |= UTF8);
            Case::refused(id, format!("name `{shown}`"), zip.build(), code)
        };
        names.iter().map(of).collect::<Vec<_>>()
    };
    bad.into_iter().flat_map(case).collect()
}

/// Names that two readers would read in two ways.
fn encodings() -> Vec<Case> {
    let named = |name: &[u8], flags: u16| Zip::new().file(name, b"x").both(|header| header.flags |= flags).build();
    let utf8 = "bücher/ñ".as_bytes();
    vec![
        Case::taken("z17", "a name in UTF-8 that says so", named(utf8, UTF8)),
        Case::refused("z17", "a name in UTF-8 that others read as code page 437", named(utf8, 0), "zip_name"),
        Case::refused("z17", "a name in code page 437", named(b"b\x81cher", 0), "zip_name"),
        Case::refused("z17", "a name in Latin-1 that says it is UTF-8", named(b"b\xfccher", UTF8), "zip_name"),
    ]
}

fn types() -> Vec<Case> {
    let mode = |id, what: &str, mode: u32| {
        Case::refused(id, what, Zip::new().file("link", b"/secure").mode(mode).build(), "zip_type")
    };
    let through = Zip::new().file("link", b"/secure").mode(0o120_777).file("link/evil", b"evil");
    vec![
        mode("z07", "symbolic link", 0o120_777),
        Case::refused("z07", "a file through a symbolic link", through.build(), "zip_type"),
        mode("z08", "character device", 0o020_644),
        mode("z08", "block device", 0o060_644),
        mode("z08", "FIFO", 0o010_644),
        mode("z08", "socket", 0o140_755),
        mode("z08", "setuid", 0o104_755),
        mode("z08", "setgid", 0o102_755),
        mode("z08", "sticky", 0o101_755),
        Case::taken("z08", "a file all may write", Zip::new().file("a", b"x").mode(0o100_777).build()),
    ]
}

fn twice() -> Vec<Case> {
    let evil = br#"{"name":"evil"}"#;
    let first = Zip::bare().file("manifest.json", evil).file("manifest.json", crate::MANIFEST);
    let two = |one: &str, other: &str| {
        Zip::new().file(one, b"1").file(other, b"2").both(|header| header.flags |= UTF8).build()
    };
    let utf8 = |one: &str, other: &str| {
        let zip = Zip::new().file(one, b"1").both(|header| header.flags |= UTF8);
        zip.file(other, b"2").both(|header| header.flags |= UTF8).build()
    };
    vec![
        Case::refused("z09", "good manifest first", Zip::new().file("manifest.json", evil).build(), "zip_duplicate"),
        Case::refused("z09", "evil manifest first", first.build(), "zip_duplicate"),
        Case::refused("z09", "a file and a directory of one name", two("a", "a/b"), "zip_duplicate"),
        Case::refused("z09", "the same, directory first", two("a/b", "a"), "zip_duplicate"),
        Case::refused("z09", "names that differ in case", two("readme", "README"), "zip_duplicate"),
        Case::refused("z09", "manifests that differ in case", two("a", "Manifest.json"), "zip_duplicate"),
        Case::refused("z09", "directories that differ in case", two("a/x", "A/y"), "zip_duplicate"),
        Case::refused("z09", "names that differ in Greek case", utf8("ά", "Ά"), "zip_duplicate"),
        Case::taken("z09", "names equal after normalisation only", utf8("\u{e9}", "e\u{301}")),
        Case::taken("z09", "names that begin alike", two("a", "ab/c")),
    ]
}

fn headers() -> Vec<Case> {
    let differ = |what: &str, change: fn(&mut Header)| {
        let zip = Zip::new().deflated("name", b"some data").change(|entry| change(&mut entry.local));
        Case::refused("z11", format!("the two headers differ in {what}"), zip.build(), "zip_mismatch")
    };
    let nonsense = |time: u32| Zip::new().file("a", b"").both(|header| header.time = time).build();
    let version = |version: u16| Zip::new().file("a", b"").both(|header| header.version = version).build();
    vec![
        differ("name", |header| header.name = b"evil".to_vec()),
        differ("size", |header| header.size += 1),
        differ("packed size", |header| header.packed += 1),
        differ("CRC", |header| header.crc ^= 1),
        differ("flags", |header| header.flags ^= UTF8),
        differ("method", |header| header.method = 0),
        Case::taken("z11", "a date that is none", nonsense(u32::MAX)),
        Case::taken("z11", "no date", nonsense(0)),
        Case::taken("z11", "version 4.5 needed", version(45)),
        Case::refused("z20", "version 9.9 needed", version(99), "zip_method"),
    ]
}

fn extra_fields() -> Vec<Case> {
    let central = |extra: &[u8]| Zip::new().file("a", b"data").change(|entry| entry.central.extra = extra.to_vec());
    let local = |extra: &[u8]| Zip::new().file("a", b"data").change(|entry| entry.local.extra = extra.to_vec());
    let evil = b"\x75\x70\x09\0\x01\0\0\0\0evil";
    let same = [b"\x75\x70\x06\0\x01".as_slice(), &crc32fast::hash(b"a").to_le_bytes(), b"a"].concat();
    // Mode 0104755, link size, uid 0, gid 0, as the "ASi Unix" field has them; its own CRC is nonsense.
    let asi = b"\x6e\x75\x0e\0\0\0\0\0\xed\x89\0\0\0\0\0\0\0\0";
    let owner = b"\x75\x78\x0b\0\x01\x04\0\0\0\0\x04\0\0\0\0";
    vec![
        Case::refused("z11", "another name in the Unicode path field", central(evil).build(), "zip_mismatch"),
        Case::refused("z11", "the same in the local header", local(evil).build(), "zip_mismatch"),
        Case::taken("z11", "the true name in the Unicode path field", central(&same).build()),
        Case::refused("z22", "an extra field that is cut", central(b"\x75\x78\x0b\0\x01").build(), "zip_corrupt"),
        Case::refused("z22", "the same in the local header", local(b"\x75\x78\x0b\0\x01").build(), "zip_corrupt"),
        Case::refused("z22", "half the head of an extra field", central(b"\x75").build(), "zip_corrupt"),
        Case::refused("z22", "ZIP64 sizes nobody asks for", central(b"\x01\0\x08\0evilsize").build(), "zip_corrupt"),
        Case::taken("z08", "an owner's field of root", central(owner).build()),
        Case::taken("z08", "a Unix field with setuid", central(asi).build()),
    ]
}

fn methods() -> Vec<Case> {
    let method = |method: u16| Zip::new().file("a", b"data").both(|header| header.method = method).build();
    let flags = |flags: u16| Zip::new().file("a", b"data").both(|header| header.flags = flags).build();
    let aes = Zip::new().file("a", b"data").both(|header| header.extra = b"\x01\x99\x07\0\x02\0AE\x03\0\0".to_vec());
    vec![
        Case::refused("z19", "encrypted", flags(1), "zip_encrypted"),
        Case::refused("z19", "strong encryption", flags(1 | 1 << 6), "zip_encrypted"),
        Case::refused("z19", "masked headers", flags(1 << 13), "zip_encrypted"),
        Case::refused("z19", "AES method", method(99), "zip_encrypted"),
        Case::refused("z19", "AES field", aes.build(), "zip_encrypted"),
        Case::refused("z20", "deflate64", method(9), "zip_method"),
        Case::refused("z20", "bzip2", method(12), "zip_method"),
        Case::refused("z20", "lzma", method(14), "zip_method"),
        Case::refused("z20", "zstd", method(93), "zip_method"),
        Case::refused("z20", "ppmd", method(98), "zip_method"),
        Case::refused("z20", "patched data", flags(1 << 5), "zip_corrupt"),
        Case::refused("z21", "a wrong CRC", Zip::new().file("a", b"x").both(|h| h.crc ^= 1).build(), "zip_crc"),
    ]
}

fn descriptors() -> Vec<Case> {
    let streamed = || Zip::new().deflated("a", &b"stream ".repeat(300)).streamed(true, false);
    let missing = streamed().change(|entry| entry.descriptor = Descriptor::None);
    let more = Zip::new().deflated("a", &[b'x'; 5000]).both(|header| header.size = 10).streamed(true, false);
    vec![
        Case::taken("z23", "sizes behind the data", streamed().build()),
        Case::refused("z23", "no descriptor", missing.build(), "zip_corrupt"),
        Case::refused("z23", "more data than the descriptor says", more.build(), "zip_size"),
    ]
}
