//! Packages of modules, made in memory.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Value, json};

use crate::programs;

/// The permissions an `INTEGRATION` gets without a person's consent.
const PERMISSIONS: [&str; 4] = ["device.read", "device.write", "events.subscribe", "events.publish"];

/// A package being made.
#[derive(Clone, Debug)]
pub struct Package {
    manifest: Value,
    start: Value,
    files: Vec<(String, Vec<u8>, u32)>,
}

impl Package {
    /// A package of an `INTEGRATION` with a manifest and no program.
    #[must_use]
    pub fn plain(name: &str, port: u16) -> Self {
        let manifest = json!({
            "name": name, "version": "1.0.0", "type": "INTEGRATION", "api_version": "1.0", "port": port,
            "permissions": PERMISSIONS,
        });
        Self { manifest, start: json!({}), files: Vec::new() }
    }

    /// A package with the probe, which subscribes `/webhook` to `device.*` and `test.*` at its start.
    #[must_use]
    pub fn probe(name: &str, port: u16) -> Self {
        let program = fs::read(programs::probe()).expect("the probe was built");
        Self::plain(name, port)
            .with("runtime", json!("static"))
            .with("entry_point", json!("probe"))
            .with("resources", json!({ "memory_mb": 32, "data_mb": 8 }))
            .start(json!({ "subscribe": ["device.*", "test.*"] }))
            .file("probe", &program, 0o755)
    }

    /// A package of a container image. What the probe is told at its start lies in the image's own `/app`.
    #[must_use]
    pub fn image(name: &str, port: u16, image: &[u8]) -> Self {
        Self::plain(name, port)
            .with("runtime", json!("oci"))
            .with("resources", json!({ "memory_mb": 32, "data_mb": 8 }))
            .file("image.tar", image, 0o644)
    }

    /// With another version.
    #[must_use]
    pub fn version(self, version: &str) -> Self {
        self.with("version", json!(version))
    }

    /// With a field of the manifest.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.manifest[field] = value;
        self
    }

    /// With other instructions for the probe's start.
    #[must_use]
    pub fn start(self, start: Value) -> Self {
        Self { start, ..self }
    }

    /// With one more file.
    #[must_use]
    pub fn file(mut self, path: &str, content: &[u8], mode: u32) -> Self {
        self.files.push((path.to_owned(), content.to_vec(), mode));
        self
    }

    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> &Value {
        &self.manifest
    }

    /// The package as a ZIP.
    #[must_use]
    pub fn zip(&self) -> Vec<u8> {
        let mut zip = Zip::default();
        for (path, content, mode) in self.all() {
            zip.add(&path, &content, mode);
        }
        zip.finish()
    }

    /// The package as the directory its author has.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_to(&self, directory: &Path) {
        for (path, content, mode) in self.all() {
            let file = directory.join(path);
            fs::create_dir_all(file.parent().expect("a file lies in a directory")).expect("a directory");
            fs::write(&file, content).expect("a file");
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode");
        }
    }

    fn all(&self) -> Vec<(String, Vec<u8>, u32)> {
        let text = |path: &str, text: String| (path.to_owned(), text.into_bytes(), 0o644);
        let mut all =
            vec![text("manifest.json", self.manifest.to_string()), text("start.json", self.start.to_string())];
        all.extend(self.files.iter().cloned());
        all
    }
}

/// A ZIP whose entries are stored as they are.
#[derive(Debug, Default)]
struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Zip {
    fn add(&mut self, path: &str, content: &[u8], mode: u32) {
        const REGULAR: u32 = 0o100_000;
        let at = length(&self.bytes);
        let mut common = Vec::new();
        // Version 2.0, no flags, stored, 1980-01-01.
        put16(&mut common, &[20, 0, 0, 0, 0x21]);
        put32(&mut common, &[crc32fast::hash(content), length(content), length(content)]);
        put16(&mut common, &[u16::try_from(path.len()).expect("paths are short"), 0]);
        put32(&mut self.bytes, &[0x0403_4b50]);
        self.bytes.extend_from_slice(&common);
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.extend_from_slice(content);
        put32(&mut self.directory, &[0x0201_4b50]);
        // Made on Unix, whose modes stand in the upper half of the attributes.
        put16(&mut self.directory, &[3 << 8 | 20]);
        self.directory.extend_from_slice(&common);
        put16(&mut self.directory, &[0, 0, 0]);
        put32(&mut self.directory, &[(REGULAR | mode) << 16, at]);
        self.directory.extend_from_slice(path.as_bytes());
        self.entries += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        let (at, size) = (length(&self.bytes), length(&self.directory));
        self.bytes.append(&mut self.directory);
        put32(&mut self.bytes, &[0x0605_4b50]);
        put16(&mut self.bytes, &[0, 0, self.entries, self.entries]);
        put32(&mut self.bytes, &[size, at]);
        put16(&mut self.bytes, &[0]);
        self.bytes
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("packages are small")
}

fn put16(into: &mut Vec<u8>, numbers: &[u16]) {
    into.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn put32(into: &mut Vec<u8>, numbers: &[u32]) {
    into.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}
