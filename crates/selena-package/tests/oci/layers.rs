//! What layers make together.

use serde_json::json;
use tar::EntryType;

use crate::{
    flatten,
    forge::{Forge, Tar, gzip},
};

fn two_layers() -> Forge {
    let lower = Tar::new()
        .directory("./", 0o755)
        .directory("etc/", 0o755)
        .file("etc/motd", b"lower")
        .file("etc/passwd", b"root:x:0:0::/:/bin/sh\n")
        .directory("var/", 0o755)
        .directory("var/cache/", 0o700)
        .file("var/cache/a", b"a")
        .file("var/cache/deep/b", b"b")
        .directory("opt/", 0o755)
        .file("opt/gone", b"gone")
        .file("opt/kept", b"kept")
        .file_with("bin/tool", 0o4755, b"tool")
        .hard_link("bin/tool2", "bin/tool")
        .symlink("lib", "usr/lib")
        .symlink("away", "/../../etc/shadow")
        .done();
    let upper = Tar::new()
        .file("etc/motd", b"upper")
        .directory("var/cache/", 0o711)
        .file("var/cache/c", b"c")
        .file("var/cache/.wh..wh..opq", b"")
        .file("opt/.wh.gone", b"")
        .file("opt/.wh.never-was", b"")
        .file("bin/.wh.tool", b"")
        .file("app/main", b"the image's own")
        .done();
    Forge::new(vec![lower, upper])
}

#[test]
fn both_layouts_packed_or_not_make_the_same_files() {
    for gzip in [true, false] {
        let forge = Forge { gzip, ..two_layers() };
        let (oci, docker) = (flatten(&forge.oci()), flatten(&forge.docker()));
        assert_eq!((&oci.order, &oci.seen), (&docker.order, &docker.seen));
        assert_eq!(oci.text("etc/motd"), "upper");
        assert_eq!((oci.text("opt/kept"), oci.has("opt/gone")), ("kept", false));
        assert_eq!(oci.text("app/main"), "the image's own");
        assert!(!oci.order.iter().any(|path| path.contains(".wh.")), "{:?}", oci.order);
    }
}

#[test]
fn an_opaque_directory_hides_all_below_and_nothing_of_its_own_layer() {
    let flat = flatten(&two_layers().oci());
    let cache: Vec<_> = flat.seen.keys().filter(|path| path.starts_with("var/cache")).collect();
    assert_eq!(cache, ["var/cache", "var/cache/c"]);
    assert_eq!(flat.seen["var/cache"].mode, 0o711);
}

#[test]
fn a_whiteout_hides_the_layers_below_whatever_its_place_in_its_own() {
    let lower = Tar::new().file("a", b"old").file("d/x", b"old").done();
    let upper = Tar::new().file("a", b"new").file(".wh.a", b"").file(".wh.d", b"").file("d/y", b"new").done();
    let top = Tar::new().file(".wh..wh.plnk", b"").done();
    let flat = flatten(&Forge::new(vec![lower, upper, top]).oci());
    assert_eq!((flat.text("a"), flat.text("d/y"), flat.has("d/x")), ("new", "new", false));
    let emptied = Forge::new(vec![Tar::new().file("x/y", b"").done(), Tar::new().file(".wh..wh..opq", b"").done()]);
    assert!(!flatten(&emptied.oci()).has("x"));
}

#[test]
fn a_hard_link_outlives_its_first_name() {
    let flat = flatten(&two_layers().oci());
    assert!(!flat.has("bin/tool"));
    assert_eq!((flat.text("bin/tool2"), flat.seen["bin/tool2"].kind), ("tool", EntryType::Regular));
    let names = Tar::new().file("b", b"one").hard_link("c", "./b").hard_link("a", "c").done();
    let upper = Tar::new().hard_link("d", "b").file("b", b"two").done();
    let flat = flatten(&Forge::new(vec![names, upper]).docker());
    assert_eq!([flat.text("a"), flat.text("b"), flat.text("c"), flat.text("d")], ["one", "two", "one", "one"]);
}

#[test]
fn special_bits_and_capabilities_are_gone_and_told() {
    let layer = Tar::new()
        .file_with("bin/su", 0o6755, b"su")
        .directory("var/mail/", 0o2775)
        .directory("var/tmp/", 0o1777)
        .pax(&[("SCHILY.xattr.security.capability", b"\x01\0\0\x02")], "bin/ping", b"ping")
        .file_with("plain", 0o755, b"")
        .done();
    let flat = flatten(&Forge::new(vec![layer]).oci());
    assert_eq!((flat.seen["bin/su"].mode, flat.seen["var/mail"].mode), (0o755, 0o775));
    assert_eq!((flat.seen["var/tmp"].mode, flat.seen["plain"].mode), (0o1777, 0o755));
    assert_eq!(flat.told.privileged, 3);
}

#[test]
fn a_directory_replaces_a_link_and_a_file_replaces_a_directory() {
    let lower = Tar::new().symlink("lib", "usr/lib").file("dir/x", b"").file("file", b"").done();
    let upper = Tar::new().directory("lib/", 0o755).file("lib/y", b"y").file("dir", b"now a file").done();
    let flat = flatten(&Forge::new(vec![lower, upper]).oci());
    assert_eq!((flat.seen["lib"].kind, flat.text("lib/y")), (EntryType::Directory, "y"));
    assert_eq!((flat.text("dir"), flat.has("dir/x")), ("now a file", false));
}

#[test]
fn the_hubs_places_are_what_they_have_to_be() {
    let layer = Tar::new()
        .symlink("data", "/etc")
        .symlink("tmp", "/proc")
        .directory("selena/", 0o700)
        .file_with("selena/init", 0o755, b"not the hub's")
        .symlink("selena/package", "/")
        .file("proc/self", b"")
        .symlink("etc/passwd", "/data/passwd")
        .done();
    let flat = flatten(&Forge::new(vec![layer]).oci());
    for (path, kind, mode) in [
        ("data", EntryType::Directory, 0o755),
        ("dev", EntryType::Directory, 0o755),
        ("proc", EntryType::Directory, 0o755),
        ("sys", EntryType::Directory, 0o755),
        ("tmp", EntryType::Directory, 0o1777),
        ("selena", EntryType::Directory, 0o755),
        ("selena/package", EntryType::Directory, 0o755),
        ("selena/init", EntryType::Regular, 0o644),
        ("etc/passwd", EntryType::Regular, 0o644),
    ] {
        assert_eq!((flat.seen[path].kind, flat.seen[path].mode), (kind, mode), "{path}");
    }
    assert_eq!((flat.text("selena/init"), flat.text("etc/passwd"), flat.has("proc/self")), ("", "", false));
}

#[test]
fn links_come_last_and_name_what_they_named() {
    let flat = flatten(&two_layers().oci());
    let first = flat.order.iter().position(|path| flat.seen[path].kind == EntryType::Symlink).unwrap();
    assert!(flat.order[first..].iter().all(|path| flat.seen[path].kind == EntryType::Symlink), "{:?}", flat.order);
    assert_eq!((flat.text("away"), flat.text("lib")), ("/../../etc/shadow", "usr/lib"));
}

#[test]
fn long_names_of_both_kinds_are_read_and_written() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    let mut gnu = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    gnu.append_data(&mut header, &long, &b"long"[..]).unwrap();
    header.set_size(0);
    header.set_entry_type(EntryType::Symlink);
    gnu.append_link(&mut header, "link", &long).unwrap();
    let pax = Tar::new().pax(&[("path", format!("{long}2").as_bytes()), ("mtime", b"1.5")], "short", b"pax").done();
    let flat = flatten(&Forge::new(vec![gnu.into_inner().unwrap(), pax]).oci());
    assert_eq!((flat.text(&long), flat.text("link")), ("long", long.as_str()));
    assert_eq!((flat.text(&format!("{long}2")), flat.has("short")), ("pax", false));
}

#[test]
fn what_the_hub_decides_itself_is_ignored_and_told() {
    let container = json!({
        "Cmd": ["serve"], "Volumes": { "/data": {}, "/var/lib": {} }, "User": "root", "ExposedPorts": { "80/tcp": {} },
        "Healthcheck": { "Test": ["CMD", "x"] }, "OnBuild": ["RUN x"], "Labels": { "selena.module": "other" },
        "StopSignal": "SIGKILL",
    });
    let forge = Forge::new(vec![Tar::new().file("a", b"").done()]).set("/config", container);
    let flat = flatten(&forge.oci());
    assert_eq!(flat.told.ignored, ["VOLUME", "USER", "HEALTHCHECK", "ONBUILD", "STOPSIGNAL"]);
}

#[test]
fn a_layer_of_several_gzip_streams_is_one_layer() {
    let tar = Tar::new().file("a", &[7; 5000]).done();
    let (first, second) = tar.split_at(700);
    let config = Forge::new(vec![tar.clone()]).config.to_string();
    let manifest = json!([{ "Config": "config.json", "Layers": ["layer.tar"] }]).to_string();
    let image = Tar::new()
        .file("config.json", config.as_bytes())
        .file("layer.tar", &[gzip(first), gzip(second)].concat())
        .file("manifest.json", manifest.as_bytes());
    assert_eq!(flatten(&image.done()).text("a").len(), 5000);
}
