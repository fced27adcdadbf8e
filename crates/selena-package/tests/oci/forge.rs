//! Images made in memory, good ones and forged ones.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// The architecture of this machine in the words of images.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar being made; names are written as they are, good or not.
pub(crate) struct Tar(Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(crate) fn file(self, path: &str, content: &[u8]) -> Self {
        self.file_with(path, 0o644, content)
    }

    pub(crate) fn file_with(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.raw(EntryType::Regular, path, "", mode, content)
    }

    pub(crate) fn directory(self, path: &str, mode: u32) -> Self {
        self.raw(EntryType::Directory, path, "", mode, b"")
    }

    pub(crate) fn symlink(self, path: &str, names: &str) -> Self {
        self.raw(EntryType::Symlink, path, names, 0o777, b"")
    }

    pub(crate) fn hard_link(self, path: &str, names: &str) -> Self {
        self.raw(EntryType::Link, path, names, 0o644, b"")
    }

    /// An entry whose names stand in the header as they are, up to 100 bytes.
    pub(crate) fn raw(mut self, kind: EntryType, path: &str, link: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = header(kind, path, link, mode, content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    /// An entry behind an extended header with these records.
    pub(crate) fn pax(mut self, records: &[(&str, &[u8])], path: &str, content: &[u8]) -> Self {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
        self.file(path, content)
    }

    /// A header that is changed before its checksum is made, without data behind it.
    pub(crate) fn forged(mut self, path: &str, forge: impl Fn(&mut [u8; 512])) -> Self {
        let mut header = header(EntryType::Regular, path, "", 0o644, 0);
        forge(header.as_mut_bytes());
        header.set_cksum();
        self.0.get_mut().extend_from_slice(header.as_bytes());
        self
    }

    /// Whatever bytes.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.get_mut().extend_from_slice(bytes);
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn header(kind: EntryType, path: &str, link: &str, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    let raw = header.as_gnu_mut().unwrap();
    raw.name[..path.len()].copy_from_slice(path.as_bytes());
    raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_mode(mode);
    header.set_uid(1000);
    header.set_gid(1000);
    header.set_mtime(1_700_000_000);
    header.set_size(size);
    header
}

/// An image being made.
#[derive(Clone)]
pub(crate) struct Forge {
    /// The layers, unpacked.
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) gzip: bool,
    pub(crate) config: Value,
}

impl Forge {
    /// An image of these layers that starts `/run`.
    pub(crate) fn new(layers: Vec<Vec<u8>>) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
        let config = json!({
            "architecture": architecture(), "os": "linux",
            "config": { "Entrypoint": ["/run"], "Cmd": ["now"], "Env": ["PATH=/bin", "A=b=c"], "WorkingDir": "/srv" },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": [{ "created_by": "a test" }],
        });
        Self { layers, gzip: true, config }
    }

    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        *self.config.pointer_mut(pointer).unwrap() = value;
        self
    }

    pub(crate) fn packed(&self) -> Vec<Vec<u8>> {
        self.layers.iter().map(|layer| if self.gzip { gzip(layer) } else { layer.clone() }).collect()
    }

    pub(crate) fn manifest(&self) -> Value {
        let kind = if self.gzip { "+gzip" } else { "" };
        let layer = |layer: &Vec<u8>| descriptor(&format!("application/vnd.oci.image.layer.v1.tar{kind}"), layer);
        let layers: Vec<_> = self.packed().iter().map(layer).collect();
        json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", self.config.to_string().as_bytes()),
            "layers": layers,
        })
    }

    /// As an OCI layout.
    pub(crate) fn oci(&self) -> Vec<u8> {
        let manifest = self.manifest().to_string();
        let index = json!({ "schemaVersion": 2, "manifests": [descriptor(MANIFEST_TYPE, manifest.as_bytes())] });
        self.oci_with(&index, &[manifest.into_bytes()])
    }

    /// As an OCI layout with another index, and these blobs beside its own.
    pub(crate) fn oci_with(&self, index: &Value, blobs: &[Vec<u8>]) -> Vec<u8> {
        let own = self.packed().into_iter().chain([self.config.to_string().into_bytes()]);
        let blobs: Vec<_> = own.chain(blobs.iter().cloned()).collect();
        layout(index.to_string().as_bytes(), &blobs)
    }

    /// As `docker save` wrote it.
    pub(crate) fn docker(&self) -> Vec<u8> {
        let config = self.config.to_string();
        let name = format!("{}.json", hex(config.as_bytes()));
        let names: Vec<_> = (0..self.layers.len()).map(|number| format!("{number}/layer.tar")).collect();
        let manifest = json!([{ "Config": name, "RepoTags": ["selena-core:latest", "debian:13"], "Layers": names }]);
        let tar = Tar::new().file(&name, config.as_bytes());
        let packed = self.packed();
        let layers = names.iter().zip(&packed);
        layers
            .fold(tar, |tar, (name, layer)| {
                let directory = name.split('/').next().unwrap();
                tar.directory(&format!("{directory}/"), 0o755)
                    .file(&format!("{directory}/VERSION"), b"1.0")
                    .file(name, layer)
            })
            .file("manifest.json", manifest.to_string().as_bytes())
            .done()
    }
}

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(blob), "size": blob.len() })
}

/// An OCI layout of these parts.
pub(crate) fn layout(index: &[u8], blobs: &[Vec<u8>]) -> Vec<u8> {
    let mut named: Vec<_> = blobs.iter().map(|blob| (format!("blobs/sha256/{}", hex(blob)), blob)).collect();
    named.sort();
    named.dedup();
    let tar = Tar::new()
        .directory("blobs/", 0o755)
        .directory("blobs/sha256/", 0o755)
        .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", index);
    named.into_iter().fold(tar, |tar, (name, blob)| tar.file(&name, blob)).done()
}
