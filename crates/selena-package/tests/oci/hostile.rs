//! Layers and archives that mean harm (faults, series Z, for images).

use std::time::{Duration, Instant};

use serde_json::json;
use tar::EntryType;

use crate::{
    forge::{Forge, Tar, descriptor, digest, gzip, layout},
    refused, try_flatten,
};

const MIB: usize = 1024 * 1024;

/// An image of one layer, in both layouts, is refused with this code.
#[track_caller]
fn layer_refused(layer: Tar, code: &str) {
    layers_refused(vec![layer.done()], code);
}

#[track_caller]
fn layers_refused(layers: Vec<Vec<u8>>, code: &str) {
    let forge = Forge::new(layers);
    refused(&forge.oci(), code);
    refused(&forge.docker(), code);
    refused(&Forge { gzip: false, ..forge }.oci(), code);
}

#[test]
fn a_path_that_leaves_the_image_is_refused() {
    for path in [
        "../x",
        "a/../../x",
        "a/../b",
        "/etc/passwd",
        "//x",
        "..",
        "a//b",
        "a/./b",
        "a/..",
        ".wh..",
        ".wh.",
        "d/.wh...",
    ] {
        layer_refused(Tar::new().file(path, b"x"), "image_path");
        layer_refused(Tar::new().pax(&[("path", path.as_bytes())], "good", b"x"), "image_path");
    }
    layer_refused(Tar::new().pax(&[("path", b"a\0b")], "good", b"x"), "image_path");
}

#[test]
fn nothing_is_written_or_hidden_through_a_link() {
    let link = || Tar::new().symlink("evil", "/etc");
    layer_refused(link().file("evil/passwd", b"x"), "image_path");
    layer_refused(link().directory("evil/d/", 0o755), "image_path");
    layer_refused(link().file("evil/.wh.passwd", b""), "image_path");
    layer_refused(link().file("evil/.wh..wh..opq", b""), "image_path");
    layers_refused(vec![link().done(), Tar::new().file("evil/passwd", b"x").done()], "image_path");
    layer_refused(Tar::new().file("file", b"").file("file/below", b""), "image_path");
    // Where the hub mounts the user file, it must be the image's own directory.
    layer_refused(Tar::new().symlink("etc", "/proc"), "image_path");
}

#[test]
fn a_hard_link_names_a_file_of_the_image() {
    for names in ["/etc/shadow", "../../etc/shadow", "nowhere", "d", "self", "link/passwd", ""] {
        let layer = Tar::new().directory("d/", 0o755).symlink("link", "/etc").hard_link("self", names);
        layer_refused(layer, "image_path");
    }
}

#[test]
fn devices_fifos_sparse_and_unknown_entries_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::GNUSparse, EntryType::new(b'V')] {
        layer_refused(Tar::new().raw(kind, "dev/sda", "", 0o666, b""), "image_type");
    }
    layer_refused(Tar::new().pax(&[("GNU.sparse.major", b"1")], "sparse", b"x"), "image_type");
    let sparse = [("GNU.sparse.map", &b"0,1"[..]), ("GNU.sparse.size", b"99999999999")];
    layer_refused(Tar::new().pax(&sparse, "sparse", b"x"), "image_type");
    // The archive around the layers takes no more than they do.
    refused(&Tar::new().raw(EntryType::Fifo, "index.json", "", 0o644, b"").done(), "image_type");
    let marker = || Tar::new().file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    refused(&marker().symlink("index.json", "/etc/passwd").done(), "image_type");
    refused(&marker().hard_link("index.json", "oci-layout").done(), "image_type");
    let outer = Tar::new().file("../index.json", b"{}").done();
    refused(&outer, "image_path");
    refused(&Tar::new().file("a", b"").file("./a", b"").done(), "image_corrupt");
}

#[test]
fn a_number_that_is_negative_or_huge_is_refused_without_allocating() {
    let sizes: [&[u8; 12]; 4] = [
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\0\0\x01\0\0\0\0\0\0\0\0",
        b"77777777777\0",
    ];
    for size in sizes {
        for type_flag in [b'0', b'x', b'L', b'g', b'2'] {
            let layer = Tar::new().forged("file", |header| {
                header[124..136].copy_from_slice(size);
                header[156] = type_flag;
            });
            layer_refused(layer, "image_corrupt");
        }
    }
    layer_refused(Tar::new().pax(&[("size", b"999999999999999")], "file", b"x"), "image_corrupt");
    layer_refused(Tar::new().pax(&[("size", b"-1")], "file", b"x"), "image_corrupt");
}

#[test]
fn a_header_that_is_none_or_has_no_end_is_refused() {
    layer_refused(Tar::new().bytes(&[b'A'; 512]), "image_corrupt");
    layer_refused(Tar::new().bytes(&[b'A'; 100]), "image_corrupt");
    layer_refused(Tar::new().file("a", b"x").bytes(&[0; 1024]).bytes(b"more behind the end"), "image_corrupt");
    layer_refused(Tar::new().forged("x", |header| header[257..263].copy_from_slice(b"other!")), "image_corrupt");
    layer_refused(
        Tar::new().pax(&[("path", b"global")], "x", b"").forged("g", |header| header[156] = b'x'),
        "image_corrupt",
    );
    let many = (0..20).fold(Tar::new(), |tar, _| tar.forged("x", |header| header[156] = b'x'));
    layer_refused(many, "image_corrupt");
    // A global header would rename everything behind it.
    let record = b"15 path=renamed\n";
    let mut block = [0; 512];
    block[..record.len()].copy_from_slice(record);
    let global = Tar::new().forged("g", |header| {
        header[156] = b'g';
        header[124..136].copy_from_slice(b"00000000020\0");
    });
    layer_refused(global.bytes(&block).file("x", b""), "image_corrupt");
}

#[test]
fn a_layer_that_grows_a_thousandfold_is_refused_early() {
    let bomb = Tar::new().file("zeros", &vec![0; 200 * MIB]).done();
    let forge = Forge::new(vec![bomb]);
    let (oci, docker) = (forge.oci(), forge.docker());
    assert!(oci.len() < MIB, "{} bytes", oci.len());
    let begun = Instant::now();
    refused(&oci, "image_ratio");
    refused(&docker, "image_ratio");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn all_layers_together_have_a_limit() {
    // Noise that packs 60 times: the ratio is fine, so that it is the sum that counts.
    let block: Vec<u8> =
        (0..MIB).map(|at| if at % 128 == 0 { digest(&at.to_le_bytes()).as_bytes()[9] } else { 0 }).collect();
    let content: Vec<u8> = block.iter().copied().cycle().take(90 * MIB).collect();
    let layers = (0..6).map(|number| Tar::new().file(&format!("{number}"), &content).done()).collect();
    let forge = Forge::new(layers);
    let image = forge.docker();
    assert!(forge.packed()[0].len() * 100 > 90 * MIB, "{} bytes", forge.packed()[0].len());
    let text = refused(&image, "image_size");
    assert!(text.contains("524288000"), "{text}");
}

#[test]
fn entries_paths_layers_and_parts_have_limits() {
    let many = |count: usize| (0..count).fold(Tar::new(), |tar, number| tar.file(&format!("f{number}"), b"")).done();
    let half = many(30_000);
    layers_refused(vec![half.clone(), half], "image_entries");
    layers_refused(vec![many(60_000)], "image_entries");
    // Few entries that make many directories, and few bytes that make long names.
    let deep = |number: usize| format!("{}{number}", format!("{number:x}/").repeat(16));
    let tree = (0..4000).fold(Tar::new(), |tar, number| tar.file(&deep(number), b""));
    layer_refused(tree, "image_entries");
    let long = |number: usize| [format!("{number:06}"), "n".repeat(240)].concat().into_bytes();
    let named = |number: usize| [b"d/".repeat(60), long(number)].concat();
    let names = (0..24_000).fold(Tar::new(), |tar, number| tar.pax(&[("path", &named(number))], "x", b""));
    refused(&Forge { gzip: false, ..Forge::new(vec![names.done()]) }.oci(), "image_size");
    let layers: Vec<_> = (0..129).map(|number| Tar::new().file(&format!("{number}"), b"").done()).collect();
    refused(&Forge::new(layers.clone()).oci(), "image_entries");
    refused(&Forge::new(layers.clone()).docker(), "image_entries");
    assert!(try_flatten(&Forge::new(layers[..128].to_vec()).oci()).is_ok(), "128 layers are taken");
    assert!(try_flatten(&Forge::new(vec![many(49_000)]).oci()).is_ok(), "and 49,000 files, with the hub's own places");
    refused(&many(2001), "image_entries");
}

#[test]
fn a_layer_of_many_whiteouts_is_not_slow() {
    let files = (0..20_000).fold(Tar::new(), |tar, number| tar.file(&format!("d/{number}"), b"")).done();
    let twice = Tar::new().file("d/.wh..wh..opq", b"").file("d/.wh..wh..opq", b"").done();
    layers_refused(vec![files.clone(), twice], "image_corrupt");
    let upper = (0..20_000).fold(Tar::new(), |tar, number| tar.file(&format!("d/.wh.{number}"), b"")).done();
    let begun = Instant::now();
    let flat = try_flatten(&Forge::new(vec![files, upper]).oci()).unwrap();
    assert!(!flat.has("d/7") && flat.has("d"));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn damaged_gzip_is_refused_whatever_its_digest_says() {
    let tar = Tar::new().file("a", &[7; 5000]).done();
    let good = gzip(&tar);
    let cut = good[..good.len() - 9].to_vec();
    let trailing = [&good[..], b"garbage"].concat();
    for packed in [cut, trailing, b"\x1f\x8b\x08".to_vec(), b"no gzip".to_vec(), Vec::new()] {
        let config = Forge::new(vec![tar.clone()]).config.to_string().into_bytes();
        let manifest = json!({
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
        })
        .to_string()
        .into_bytes();
        let index = json!({ "manifests": [descriptor(crate::forge::MANIFEST_TYPE, &manifest)] }).to_string();
        let code = match try_flatten(&layout(index.as_bytes(), &[config, manifest, packed.clone()])) {
            Ok(_) => panic!("{packed:?} was taken"),
            Err(error) => error.code(),
        };
        assert!(["image_corrupt", "image_digest"].contains(&code), "{code}");
    }
}

#[test]
fn the_names_of_an_image_have_no_effect() {
    let forge = Forge::new(vec![Tar::new().file("a", b"").done()]);
    let text = String::from_utf8_lossy(&forge.docker()).into_owned();
    assert!(text.contains("selena-core:latest"), "the case is the one it says it is");
    let flat = try_flatten(&forge.docker()).unwrap();
    assert!(flat.order.iter().all(|path| !path.contains("core")), "{:?}", flat.order);
}
