//! Z03 to Z08, Z17: names and types.

use super::{Zip, refused, taken};

fn named(name: impl AsRef<[u8]>) -> Vec<u8> {
    // Bit 11: the name is UTF-8, as writers mark one that is not ASCII.
    Zip::new().file(name, b"evil").both(|header| header.flags |= 1 << 11).build()
}

#[test]
fn z03_parent_directories_are_refused() {
    for name in ["../x", "a/../../x", "a/../b", "..", "a/..", "../", "a/../"] {
        refused(name, &named(name), "zip_path");
    }
}

#[test]
fn z04_absolute_paths_are_refused() {
    for name in ["/etc/passwd", "//x", "/", "\\x", "C:\\x", "c:x", "C:/x", "\\\\host\\share\\x"] {
        refused(name, &named(name), "zip_path");
    }
}

#[test]
fn z05_backslashes_are_refused() {
    for name in ["..\\..\\x", "..\\/x", "a\\b", "a/..\\x", "a\\"] {
        refused(name, &named(name), "zip_path");
    }
}

#[test]
fn z06_names_that_deceive_are_refused() {
    for name in [
        "",
        ".",
        "./a",
        "a/./b",
        "a//b",
        "a/",
        "a\0b",
        "manifest.json\0.txt",
        "a\nb",
        "a\x1b[2J",
        "\u{7f}",
        "\u{85}",
        "a\u{202e}exe.txt",
        "\u{2066}a",
        "a\u{200b}",
        "\u{feff}a",
        "a.",
        "a ",
        "a./b",
        "a /b",
        "...",
        "CON",
        "con",
        "Con.txt",
        "a/NUL",
        "aux.h",
        "prn .txt",
        "COM1",
        "lpt9.log",
        "com¹",
        "CONIN$",
    ] {
        let code = if name == "a/" { "zip_type" } else { "zip_name" };
        refused(&format!("{name:?}"), &named(name), code);
    }
    let good = ["CONSOLE", "com10", "common", ".hidden", "..a", "a..b", "a b", "bücher/ñ", "日本語", "lpt", "ab:c"];
    for name in good {
        taken(name, &named(name), &[name]);
    }
}

#[test]
fn z07_links_are_refused() {
    for target in ["/secure", "../secret", "manifest.json"] {
        let link = || Zip::new().file("link", target.as_bytes()).mode(0o120_777);
        refused(target, &link().build(), "zip_type");
        refused("a file through it", &link().file("link/evil", b"evil").build(), "zip_type");
        refused(
            "the file first",
            &Zip::new().file("link/evil", b"").file("link", b"..").mode(0o120_777).build(),
            "zip_type",
        );
        refused("a directory link", &Zip::new().file("link/", b"").mode(0o120_777).build(), "zip_type");
    }
    refused("reparse point", &Zip::new().file("link", b"..").attributes(0x400).build(), "zip_type");
}

#[test]
fn z08_devices_and_special_bits_are_refused() {
    for mode in
        [0o020_644, 0o060_644, 0o010_644, 0o140_755, 0o104_755, 0o102_755, 0o101_755, 0o004_755, 0o107_777, 0o170_000]
    {
        refused(&format!("{mode:o}"), &Zip::new().file("a", b"").mode(mode).build(), "zip_type");
        refused(&format!("{mode:o}/"), &Zip::new().file("a/", b"").mode(mode).build(), "zip_type");
    }
    for mode in [0o041_777, 0o042_755, 0o100_644] {
        refused(&format!("{mode:o}/"), &Zip::new().file("a/", b"").mode(mode).build(), "zip_type");
    }
    for (what, attributes) in
        [("a directory by mode only", 0o040_755 << 16), ("by DOS bit only", 0x10), ("DOS volume", 0x08)]
    {
        refused(what, &Zip::new().file("a", b"").attributes(attributes).build(), "zip_type");
    }
    refused("a directory with data", &Zip::new().file("a/", b"data").build(), "zip_type");
    let staging = taken("ordinary", &Zip::new().file("a", b"").mode(0o100_777).build(), &["a"]);
    assert_eq!(staging.mode("a"), 0o755, "never setuid, never writable for others");
}

#[test]
fn z17_long_deep_and_unreadable_names_are_refused() {
    let part = |count: usize| "a/".repeat(count) + "a";
    refused("depth 2,000", &named(part(2000)), "zip_name");
    refused("depth 17", &named(part(16)), "zip_name");
    taken("depth 16", &named(part(15)), &[&part(15)]);
    refused("5,000 bytes", &named("a".repeat(5000)), "zip_name");
    refused("65,535 bytes", &named("a".repeat(65_535)), "zip_name");
    refused("201 bytes", &named(format!("{}/{}", "a".repeat(100), "b".repeat(100))), "zip_name");
    let longest = format!("{}/{}", "a".repeat(100), "b".repeat(99));
    taken("200 bytes", &named(&longest), &[&longest]);
    for bytes in [b"\xff\xfe".as_slice(), b"caf\xe9", b"a\xc0\xafb", b"\xed\xa0\x80"] {
        refused("not UTF-8", &named(bytes), "zip_name");
    }
}
