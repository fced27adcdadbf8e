//! Z12, Z13, Z15, Z21: what entries unpack to.

use std::sync::LazyLock;

use super::{
    Staging, Zip,
    forge::{MANIFEST, deflate},
    refused, taken,
};

/// 100 MB of zeros, deflated to 97 kB or a little more.
static ZEROS: LazyLock<Vec<u8>> = LazyLock::new(|| deflate(&vec![0; 100_000_000]));

#[test]
fn z12_more_than_declared_is_refused_unwritten() {
    let bomb = |size: u32| Zip::new().packed(b"a", ZEROS.clone(), 8, 0, size).build();
    refused("declared 10 bytes", &bomb(10), "zip_size");
    refused("declared 0 bytes", &bomb(0), "zip_size");
    refused("declared 1 MiB", &bomb(1024 * 1024), "zip_size");
    let off_by_one = Zip::new().deflated("a", b"0123456789").both(|header| header.size = 9);
    refused("one byte more", &off_by_one.build(), "zip_size");
    let fewer = Zip::new().deflated("a", b"0123456789").both(|header| header.size = 11);
    refused("one byte fewer", &fewer.build(), "zip_mismatch");
    let manifest = Zip::bare().packed(b"manifest.json", ZEROS.clone(), 8, 0, 100).build();
    refused("the manifest", &manifest, "zip_size");
}

#[test]
fn z12_all_files_together_are_limited() {
    let chunk = vec![7; 1024 * 1024];
    let packed = deflate(&chunk);
    // Just below the ratio: 1 MiB from about 11 kB, so a small archive could hold a large package.
    let crc = crc32fast::hash(&chunk);
    let pack = |count: u32| {
        (0..count).fold(Zip::new(), |zip, index| {
            zip.packed(format!("{index}").as_bytes(), packed.clone(), 8, crc, 1024 * 1024)
        })
    };
    refused("201 MiB", &pack(201).build(), "zip_size");
    // With the manifest they are the limit to the byte.
    let rest = |more: usize| (1 << 20) - MANIFEST.len() + more;
    refused("one byte more than 200 MiB", &pack(199).file("rest", &vec![7; rest(1)]).build(), "zip_size");
    let staging = Staging::new();
    let unpacked = staging.unpack(&pack(199).file("rest", &vec![7; rest(0)]).build()).unwrap();
    assert_eq!(unpacked.files.len(), 201, "200 MiB are taken");
    drop(staging);
    refused("one of 2 GiB", &pack(1).both(|header| header.size = 1 << 31).build(), "zip_size");
}

#[test]
fn z13_a_bomb_by_ratio_is_refused() {
    let crc = 0;
    refused("ratio 1,000", &Zip::new().packed(b"a", ZEROS.clone(), 8, crc, 100_000_000).build(), "zip_ratio");
    let two_mib = Zip::new().deflated("a", &vec![0; 2 * 1024 * 1024]);
    refused("2 MiB of zeros", &two_mib.build(), "zip_ratio");
    refused("1 MiB and one byte of zeros", &Zip::new().deflated("a", &vec![0; (1 << 20) + 1]).build(), "zip_ratio");
    taken("1 MiB of zeros", &Zip::new().deflated("a", &vec![0; 1024 * 1024]).build(), &["a"]);
}

#[test]
fn z13_the_ratio_is_a_hundred_and_not_less() {
    let packed = deflate(&(0..20_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    let declared = |size: usize| Zip::new().packed(b"a", packed.clone(), 8, 0, size.try_into().unwrap()).build();
    assert!(packed.len() * 100 > 1 << 20, "the ratio counts");
    refused("a hundred and a little", &declared(packed.len() * 100 + 1), "zip_ratio");
    refused("a hundred, which is a lie of another kind", &declared(packed.len() * 100), "zip_mismatch");
}

#[test]
fn z15_a_zip_inside_is_only_a_file() {
    let inner = Zip::new().packed(b"bomb", ZEROS.clone(), 8, 0, 100_000_000).build();
    let nested = Zip::bare().file("1.zip", &inner).file("2.zip", &inner).build();
    let staging =
        taken("nested", &Zip::new().deflated("a.zip", &nested).file("b.zip", &nested).build(), &["a.zip", "b.zip"]);
    assert_eq!(staging.read("a.zip"), nested);
    assert_eq!(staging.read("b.zip"), nested);
}

#[test]
fn z21_a_wrong_checksum_is_refused() {
    for size in [0, 1, 200_000] {
        let data = vec![b'x'; size];
        refused("stored", &Zip::new().file("a", &data).both(|header| header.crc ^= 1).build(), "zip_crc");
        refused("deflated", &Zip::new().deflated("a", &data).both(|header| header.crc ^= 1).build(), "zip_crc");
    }
    let changed = Zip::new().file("a", b"data").change(|entry| entry.data[0] ^= 1);
    refused("changed data", &changed.build(), "zip_crc");
}

#[test]
fn deflate_streams_end_where_their_entries_do() {
    let zip = |data: Vec<u8>| Zip::new().packed(b"a", data, 8, crc32fast::hash(b"hello"), 5).build();
    let good = deflate(b"hello");
    taken("whole", &zip(good.clone()), &["a"]);
    refused("a byte behind", &zip([good.clone(), vec![0]].concat()), "zip_corrupt");
    refused("70 kB behind", &zip([good.clone(), vec![0; 70_000]].concat()), "zip_corrupt");
    refused("a stream behind", &zip([good.clone(), good.clone()].concat()), "zip_corrupt");
    refused("cut", &zip(good[..good.len() - 1].to_vec()), "zip_corrupt");
    refused("nothing", &zip(Vec::new()), "zip_corrupt");
    refused("no deflate", &zip(vec![0xff; 50]), "zip_corrupt");
    refused("empty blocks without end", &zip(b"\0\0\0\xff\xff".repeat(30_000)), "zip_corrupt");
}

#[test]
fn every_file_comes_with_the_sha256_of_what_was_written() {
    let zip = Zip::new().file("abc", b"abc").deflated("large", &b"text ".repeat(50_000)).directory("empty/");
    let unpacked = Staging::new().unpack(&zip.build()).unwrap();
    let hex = |path: &str| unpacked.files[path].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // FIPS 180-4, and `printf 'text %.0s' $(seq 50000) | sha256sum`.
    assert_eq!(hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(hex("large"), "81c7c10c76cc91c34b7d4ea5c9d27da5c277e9ed88bfee4ff7716ef5cac73559");
    assert_eq!(unpacked.files.len(), 3, "a directory is no file");
    assert_eq!(unpacked.signature, None);
}

#[test]
fn a_signature_is_given_as_it_stands_in_the_package() {
    let zip = Zip::new().deflated("SIGNATURE.json", b"{\"odd\":\xff}").file("ui/SIGNATURE.json", b"another");
    let unpacked = Staging::new().unpack(&zip.build()).unwrap();
    assert_eq!(unpacked.signature.as_deref(), Some(&b"{\"odd\":\xff}"[..]));
    assert!(unpacked.files.contains_key("SIGNATURE.json"));
}

#[test]
fn m14_a_signature_that_cannot_be_read_is_not_taken_for_none() {
    refused(
        "1 MiB and 1",
        &Zip::new().file("SIGNATURE.json", &vec![b' '; (1 << 20) + 1]).build(),
        "manifest_signature",
    );
    let largest = Zip::new().file("SIGNATURE.json", &vec![b' '; 1 << 20]).build();
    let signature = Staging::new().unpack(&largest).unwrap().signature;
    assert_eq!(signature.map(|text| text.len()), Some(1 << 20), "1 MiB is given to who checks it");
    refused("a directory", &Zip::new().directory("SIGNATURE.json/").build(), "manifest_signature");
    refused("twice", &Zip::new().file("SIGNATURE.json", b"1").file("SIGNATURE.json", b"2").build(), "zip_duplicate");
    refused(
        "below itself",
        &Zip::new().file("SIGNATURE.json/x", b"").file("SIGNATURE.json", b"").build(),
        "zip_duplicate",
    );
}
