//! Where fuzzing begins: the archives of series Z, the manifests of the tests and of the samples, and the words of both.

use std::{collections::BTreeSet, fmt::Write};

use serde_json::{Value, json};

use crate::image::forge::{Forge, Tar};

#[path = "../../selena-types/src/manifest/tests/examples.rs"]
mod examples;

/// Larger archives say nothing that smaller ones do not, and make every mutation slow.
const MAX_SEED: usize = 8 * 1024;

/// An input and the name of its file.
pub type Seed = (String, Vec<u8>);

/// Archives.
#[must_use]
pub fn zip() -> Vec<Seed> {
    let small = selena_forge::series().into_iter().filter(|case| case.archive.len() <= MAX_SEED);
    small.enumerate().map(|(index, case)| (format!("{index:03}-{}", case.id), case.archive)).collect()
}

/// Choices that forge archives: little is decided, then more.
#[must_use]
pub fn zip_forged() -> Vec<Seed> {
    let mut random = Random::new(1);
    (1..=24).map(|index| (format!("{index:03}"), random.bytes(index * 12))).collect()
}

/// Manifests: the smallest, the largest, one with each field alone, and those of the samples.
#[must_use]
pub fn manifest() -> Vec<Seed> {
    let (minimal, full) = (examples::minimal(), examples::full());
    let mut seeds = vec![("minimal".to_owned(), minimal.clone()), ("full".to_owned(), full.clone())];
    for (field, value) in full.as_object().into_iter().flatten() {
        let mut one = minimal.clone();
        one[field] = value.clone();
        seeds.push((format!("with-{field}"), one));
        let mut other = full.clone();
        other.as_object_mut().and_then(|fields| fields.remove(field));
        seeds.push((format!("without-{field}"), other));
    }
    let mut system = minimal;
    system["type"] = json!("SYSTEM");
    system.as_object_mut().and_then(|fields| fields.remove("port"));
    seeds.push(("system".to_owned(), system));
    let mut texts: Vec<_> = seeds.into_iter().map(|(name, value)| (name, value.to_string().into_bytes())).collect();
    texts.push(("at-sign-in-path".to_owned(), with_at_signs(full).to_string().into_bytes()));
    texts.push(("lamp".to_owned(), include_bytes!("../../samples/lamp/manifest.json").to_vec()));
    texts.push(("thermometer".to_owned(), include_bytes!("../../samples/thermometer/manifest.json").to_vec()));
    texts
}

/// The manifest with an `@` in the paths of its provider's URLs, where it is no user.
fn with_at_signs(mut manifest: Value) -> Value {
    let url = "https://auth.example.com/d@evice?to=a@b";
    for provider in manifest["oauth"].as_object_mut().into_iter().flat_map(|providers| providers.values_mut()) {
        provider["device_authorization_url"] = json!(url);
        provider["token_url"] = json!(url);
    }
    manifest
}

/// Images: the first byte as [`crate::image::from_bytes`] reads it, then a layer or a whole `image.tar`.
#[must_use]
pub fn image() -> Vec<Seed> {
    use tar::EntryType::{Char, Fifo};
    let tree =
        Tar::new().directory("etc/", 0o755).file("etc/x", b"1").symlink("lib", "usr/lib").hard_link("y", "etc/x");
    let whiteouts = Tar::new().file("a/b", b"1").file("a/.wh.b", b"").file("a/.wh..wh..opq", b"").file(".wh.a", b"");
    let over = Tar::new().directory("a/", 0o1777).file("a/b", b"new").file("tmp", b"a file").symlink("data", "/etc");
    let odd = Tar::new().raw(Char, "dev/null", "", 0o666, b"").raw(Fifo, "f", "", 0o644, b"").file("../x", b"evil");
    let setuid = Tar::new().file_with("run", 0o6755, b"#!/bin/sh\n").pax(&[("path", &[b'l'; 300])], "short", b"long");
    let records: &[(&str, &[u8])] = &[("SCHILY.xattr.security.capability", b"\x01\0\0\x02"), ("size", b"3")];
    let extended = Tar::new().pax(records, "cap", b"abc").pax(&[("linkpath", b"../../x")], "l", b"");
    let through = Tar::new().symlink("etc", "/tmp").file("etc/x", b"through").hard_link("h", "etc/passwd");
    let layers = [tree, whiteouts, over, odd, setuid, extended, through].map(Tar::done);
    let named = |form: u8, name: String, bytes: &[u8]| (name, [&[form], bytes].concat());
    let mut seeds: Vec<_> =
        layers.iter().enumerate().map(|(index, layer)| named(1, format!("layer-{index}"), layer)).collect();
    seeds.push(named(2, "two".to_owned(), &layers[..2].concat()));
    seeds.push(named(3, "docker".to_owned(), &layers[0]));
    let plain = Forge { gzip: false, ..Forge::new(layers[..1].to_vec()) };
    seeds.push(named(0, "whole-oci".to_owned(), &plain.oci()));
    seeds.push(named(0, "whole-docker".to_owned(), &plain.docker()));
    seeds
}

/// Words of images, as a dictionary of libFuzzer.
#[must_use]
pub fn image_words() -> String {
    let words = "ustar .wh. .wh..wh..opq ../ /etc usr/lib path= linkpath= size= SCHILY.xattr. GNU.sparse. index.json \
                 manifest.json oci-layout blobs/sha256/ sha256: mediaType digest layers config rootfs diff_ids Entrypoint \
                 application/vnd.oci.image.layer.v1.tar+gzip application/vnd.oci.image.index.v1+json amd64 linux";
    dictionary(words.split_whitespace().map(str::as_bytes))
}

/// Words of manifests, as a dictionary of libFuzzer.
#[must_use]
pub fn manifest_words() -> String {
    let mut words = BTreeSet::new();
    collect(&examples::full(), &mut words);
    words.extend(selena_types::Permission::ALL.iter().map(|permission| permission.as_str().to_owned()));
    let more = "SYSTEM UI DRIVER AUTOMATION IMPORT_SOURCE static oci on_demand always_on HEADLESS SETTINGS_ONLY \
                ICON_SETTINGS 2x2 4x1 1x2 1e400 -0.0 null true privileged cap_add volumes env LD_PRELOAD image \
                every:5s 10.0.0.1 ::1 127.0.0.1 *.example.com localhost xn--a /dev/i2c-1 /dev/mem ../x \\u0061 64 0.05";
    words.extend(more.split_whitespace().map(str::to_owned));
    dictionary(words.iter().map(String::as_bytes))
}

/// Signatures and field ids of archives, as a dictionary of libFuzzer.
#[must_use]
pub fn zip_words() -> String {
    let words: [&[u8]; 16] = [
        b"PK\x01\x02",
        b"PK\x03\x04",
        b"PK\x05\x05",
        b"PK\x05\x06",
        b"PK\x06\x06",
        b"PK\x06\x07",
        b"PK\x06\x08",
        b"PK\x07\x08",
        b"PK00",
        b"\x75\x70",
        b"\x01\x99",
        b"\x01\0\x18\0",
        b"\xff\xff\xff\xff",
        b"\xed\x81\0\0",
        b"manifest.json",
        b"../",
    ];
    dictionary(words)
}

fn collect(value: &Value, words: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            words.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        Value::Object(fields) => fields.iter().for_each(|(field, value)| {
            words.insert(format!("\"{field}\":"));
            collect(value, words);
        }),
        _ => {}
    }
}

fn dictionary<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut text = String::new();
    for word in words {
        let bytes = word.iter().fold(String::new(), |mut shown, byte| {
            let _memory_takes_all = write!(shown, "\\x{byte:02x}");
            shown
        });
        let _memory_takes_all = writeln!(text, "\"{bytes}\"");
    }
    text
}

/// Numbers that look random and are the same each time: xorshift.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers of their own for each seed but 0, which is taken for 1.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below another one, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() >> 16).unwrap_or_default() % end
    }

    /// The next bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number().to_le_bytes()[3]).collect()
    }
}
