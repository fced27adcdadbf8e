//! Container images, made in memory.

use std::{fs, io::Write};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::programs;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// The files of a layer, as a tar.
pub struct Layer(Builder<Vec<u8>>);

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Layer({} bytes)", self.0.get_ref().len())
    }
}

impl Default for Layer {
    fn default() -> Self {
        Self(Builder::new(Vec::new()))
    }
}

impl Layer {
    /// With a file.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, mode, content)
    }

    /// With an entry of any type.
    ///
    /// # Panics
    /// If the path is none for a tar.
    #[must_use]
    pub fn entry(mut self, kind: EntryType, path: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, path, content).expect("a path of a tar");
        self
    }

    /// With a symbolic link.
    ///
    /// # Panics
    /// If the path is none for a tar.
    #[must_use]
    pub fn symlink(mut self, path: &str, names: &str) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        self.0.append_link(&mut header, path, names).expect("a path of a tar");
        self
    }

    fn done(self) -> Vec<u8> {
        self.0.into_inner().expect("memory takes all")
    }
}

/// A layer as the image has it.
#[derive(Clone, Debug)]
struct Packed {
    gzip: Vec<u8>,
    diff_id: String,
}

/// An image being made.
#[derive(Clone, Debug)]
pub struct Image {
    layers: Vec<Packed>,
    config: Value,
    platform: (&'static str, &'static str),
}

impl Image {
    /// An image without files, for this machine, that starts this configuration.
    #[must_use]
    pub fn new(config: Value) -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { layers: Vec::new(), config, platform: ("linux", architecture) }
    }

    /// An image with the probe at `/opt/bin/probe`, which is told `start` at its start.
    ///
    /// # Panics
    /// If the probe was not built.
    #[must_use]
    pub fn probe(start: &Value) -> Self {
        let program = fs::read(programs::probe()).expect("the probe was built");
        let config = json!({ "Entrypoint": ["probe"], "Env": ["PATH=/opt/bin"] });
        let start = start.to_string();
        let layer = Layer::default().file("opt/bin/probe", 0o755, &program);
        Self::new(config).layer(layer.file("app/start.json", 0o644, start.as_bytes()))
    }

    /// With one more layer.
    #[must_use]
    pub fn layer(self, layer: Layer) -> Self {
        self.layers_of(&layer.done(), 1)
    }

    /// With the same layer so many times, of which `image.tar` holds one.
    ///
    /// # Panics
    /// Never: memory takes all.
    #[must_use]
    pub fn layers_of(mut self, tar: &[u8], times: usize) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(tar).expect("memory takes all");
        let gzip = encoder.finish().expect("memory takes all");
        let packed = Packed { gzip, diff_id: digest(tar) };
        self.layers.extend(std::iter::repeat_n(packed, times));
        self
    }

    /// With another configuration.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    /// For another machine.
    #[must_use]
    pub fn for_machine(mut self, architecture: &'static str) -> Self {
        self.platform.1 = architecture;
        self
    }

    fn configuration(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| &layer.diff_id).collect();
        let (os, architecture) = self.platform;
        let rootfs = json!({ "type": "layers", "diff_ids": diff_ids });
        json!({ "os": os, "architecture": architecture, "config": self.config, "rootfs": rootfs }).to_string().into()
    }

    /// The image as an OCI layout.
    #[must_use]
    pub fn oci(&self) -> Vec<u8> {
        let config = self.configuration();
        let layers: Vec<_> = self.layers.iter().map(|layer| descriptor(LAYER_TYPE, &layer.gzip)).collect();
        let manifest = json!({ "schemaVersion": 2, "config": descriptor(CONFIG_TYPE, &config), "layers": layers });
        let manifest = manifest.to_string().into_bytes();
        let index = json!({ "schemaVersion": 2, "manifests": [descriptor(MANIFEST_TYPE, &manifest)] }).to_string();
        let layout = Layer::default().file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#).file(
            "index.json",
            0o644,
            index.as_bytes(),
        );
        let mut blobs: Vec<_> = self.layers.iter().map(|layer| layer.gzip.as_slice()).collect();
        blobs.extend([config.as_slice(), &manifest]);
        blobs.sort_unstable();
        blobs.dedup();
        let named = |blob: &[u8]| format!("blobs/sha256/{}", hex::encode(Sha256::digest(blob)));
        blobs.into_iter().fold(layout, |layout, blob| layout.file(&named(blob), 0o644, blob)).done()
    }

    /// The image as `docker save` wrote it, with a tag.
    #[must_use]
    pub fn docker(&self, tag: &str) -> Vec<u8> {
        let config = self.configuration();
        let name = format!("{}.json", hex::encode(Sha256::digest(&config)));
        let names: Vec<_> = (0..self.layers.len()).map(|number| format!("{number}/layer.tar")).collect();
        let manifest = json!([{ "Config": name, "RepoTags": [tag], "Layers": names }]).to_string();
        let archive = Layer::default().file(&name, 0o644, &config).file("manifest.json", 0o644, manifest.as_bytes());
        let layers = names.iter().zip(&self.layers);
        layers.fold(archive, |archive, (name, layer)| archive.file(name, 0o644, &layer.gzip)).done()
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(blob), "size": blob.len() })
}
