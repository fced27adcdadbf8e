//! Z09, Z11, Z19, Z20, Z23: what headers say about entries.

use super::{
    Zip,
    forge::{Descriptor, Header, MANIFEST},
    refused, taken,
};

/// What one of the two headers says differently.
type Change = fn(&mut Header);

#[test]
fn z09_a_path_that_stands_twice_is_refused() {
    let evil = br#"{"name":"evil"}"#;
    refused("good first", &Zip::new().file("manifest.json", evil).build(), "zip_duplicate");
    refused(
        "evil first",
        &Zip::bare().file("manifest.json", evil).file("manifest.json", MANIFEST).build(),
        "zip_duplicate",
    );
    refused("directories", &Zip::new().directory("a/").directory("a/").build(), "zip_duplicate");
    refused("file and directory", &Zip::new().file("a", b"").directory("a/").build(), "zip_duplicate");
    refused("file and implied directory", &Zip::new().file("a", b"").file("a/b", b"").build(), "zip_duplicate");
    refused("the same, reversed", &Zip::new().file("a/b/c", b"").file("a/b", b"").build(), "zip_duplicate");
    taken("a directory and what is in it", &Zip::new().file("a/b", b"").directory("a/").build(), &["a/b"]);
}

#[test]
fn z11_headers_that_differ_are_refused() {
    let changes: [(&str, Change); 8] = [
        ("name", |header| header.name = b"evil".to_vec()),
        ("name's length", |header| header.name.push(b'x')),
        ("size", |header| header.size += 1),
        ("packed size", |header| header.packed += 1),
        ("CRC", |header| header.crc ^= 1),
        ("flags", |header| header.flags ^= 1 << 11),
        ("method", |header| header.method = 0),
        ("Unicode path", |header| header.extra = b"\x75\x70\x09\0\x01\0\0\0\0evil".to_vec()),
    ];
    for (what, change) in changes {
        let zip = Zip::new().deflated("name", b"some data");
        refused(what, &zip.change(|entry| change(&mut entry.local)).build(), "zip_mismatch");
    }
    let lies = |change: Change| Zip::new().file("name", b"data").both(change).build();
    refused("stored data of two sizes", &lies(|header| header.size += 1), "zip_mismatch");
}

#[test]
fn z19_encrypted_entries_are_refused() {
    let zip = |change: &dyn Fn(&mut Header)| Zip::new().file("a", b"cipher text").both(change).build();
    for (what, flags) in
        [("classic", 1), ("strong", 1 | 1 << 6), ("strong bit alone", 1 << 6), ("masked headers", 1 << 13)]
    {
        refused(what, &zip(&|header| header.flags = flags), "zip_encrypted");
    }
    refused("AES method", &zip(&|header| header.method = 99), "zip_encrypted");
    refused("AES field", &zip(&|header| header.extra = b"\x01\x99\x07\0\x02\0AE\x03\0\0".to_vec()), "zip_encrypted");
    refused("strong field", &zip(&|header| header.extra = b"\x17\0\0\0".to_vec()), "zip_encrypted");
    let local_only = Zip::new().file("a", b"").change(|entry| entry.local.flags = 1);
    refused("only the local header says so", &local_only.build(), "zip_mismatch");
}

#[test]
fn z20_only_stored_and_deflate_are_taken() {
    for (name, method) in [
        ("implode", 6),
        ("deflate64", 9),
        ("bzip2", 12),
        ("lzma", 14),
        ("zstd", 93),
        ("xz", 95),
        ("ppmd", 98),
        ("-", 65_535),
    ] {
        refused(name, &Zip::new().file("a", b"data").both(|header| header.method = method).build(), "zip_method");
    }
    for flag in [1 << 4, 1 << 5, 1 << 12, 1 << 15] {
        refused("unknown flag", &Zip::new().file("a", b"").both(|header| header.flags = flag).build(), "zip_corrupt");
    }
}

#[test]
fn z23_data_descriptors_are_taken_if_they_are_true() {
    for (signed, large) in [(true, false), (false, false), (true, true), (false, true)] {
        let zip = || Zip::new().deflated("a", &b"stream ".repeat(30_000)).streamed(signed, large);
        let staging = taken("streamed", &zip().file("b", b"next").build(), &["a", "b"]);
        assert_eq!(staging.read("a"), b"stream ".repeat(30_000));
        taken("last", &zip().build(), &["a"]);
        taken("stored", &Zip::new().file("a", b"PK\x07\x08").streamed(signed, large).build(), &["a"]);
        taken("true local header", &zip().change(|entry| entry.local = entry.central.clone()).build(), &["a"]);
        refused("a byte more", &zip().change(|entry| entry.junk = vec![0]).build(), "zip_corrupt");
        refused("half true", &zip().change(|entry| entry.local.size = 1).build(), "zip_mismatch");
    }
    let streamed = || Zip::new().file("a", b"data").streamed(true, false);
    refused("missing", &streamed().change(|entry| entry.descriptor = Descriptor::None).build(), "zip_corrupt");
    let forged = |descriptor: &[u8]| {
        let forged = descriptor.to_vec();
        let zip = streamed().change(|entry| (entry.descriptor, entry.junk) = (Descriptor::None, forged));
        refused(&format!("{descriptor:?}"), &zip.build(), "zip_mismatch");
    };
    forged(&[0; 12]);
    forged(&[0; 16]);
    forged(&[0; 20]);
    forged(&[0; 24]);
    forged(b"PK\x07\x08\0\0\0\0\x04\0\0\0\x04\0\0\0");
    // More than declared: the counter runs, whatever the descriptor says.
    let more = Zip::new().deflated("a", &[b'x'; 5000]).both(|header| header.size = 10).streamed(true, false);
    refused("more than declared", &more.build(), "zip_size");
}
