//! Series Z of the faults: archives forged byte by byte, through the crate's one door.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod data;
mod headers;
mod names;
mod series;
mod staging;
mod structure;

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    path::Path,
};

use selena_forge as forge;
use selena_forge::Zip;
use selena_package::{Limits, Unpacked, ZipError, unpack};
use tempfile::TempDir;

/// A staging directory with a neighbour that must stay as it is.
struct Staging {
    dir: TempDir,
}

impl Staging {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("staging")).unwrap();
        fs::write(dir.path().join("secret"), "untouched").unwrap();
        Self { dir }
    }

    fn unpack(&self, archive: &[u8]) -> Result<Unpacked, ZipError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(archive).unwrap();
        self.unpack_file(&file)
    }

    fn unpack_file(&self, file: &File) -> Result<Unpacked, ZipError> {
        unpack(file, &self.dir.path().join("staging"), &Limits::default())
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.dir.path().join("staging").join(path)).unwrap()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.dir.path().join("staging").join(path)).unwrap().mode() & 0o7777
    }

    /// Paths below the directory that holds staging, in byte order.
    fn all_paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        collect(self.dir.path(), self.dir.path(), &mut paths);
        paths.sort();
        paths
    }
}

fn collect(root: &Path, at: &Path, paths: &mut Vec<String>) {
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        paths.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        if path.is_dir() && !path.is_symlink() {
            collect(root, &path, paths);
        }
    }
}

/// Checks that the archive is refused with the code, that staging is empty and nothing was made outside of it.
#[track_caller]
fn refused(what: &str, archive: &[u8], code: &str) {
    let staging = Staging::new();
    let error = staging.unpack(archive).expect_err(what);
    assert_eq!(error.code(), code, "{what}: {error}");
    assert_eq!(staging.all_paths(), ["secret", "staging"], "{what}");
    assert_eq!(fs::read(staging.dir.path().join("secret")).unwrap(), b"untouched", "{what}");
}

/// Checks that the archive is taken, and has these files besides the manifest.
#[track_caller]
fn taken(what: &str, archive: &[u8], files: &[&str]) -> Staging {
    let staging = Staging::new();
    let unpacked = staging.unpack(archive).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut expected = [files, &["manifest.json"]].concat();
    expected.sort_unstable();
    assert_eq!(unpacked.files.keys().collect::<Vec<_>>(), expected, "{what}");
    assert_eq!(unpacked.manifest, forge::MANIFEST, "{what}");
    staging
}

#[test]
fn a_good_package_is_unpacked_with_its_modes() {
    let zip = Zip::new()
        .file("bin/lamp", b"#!/app/sh")
        .mode(0o100_700)
        .deflated("ui/deep/er/page.html", &b"text ".repeat(50_000))
        .mode(0o100_666)
        .directory("empty/")
        .file("no mode", b"");
    let staging = taken("good", &zip.build(), &["bin/lamp", "no mode", "ui/deep/er/page.html"]);
    assert_eq!(staging.read("bin/lamp"), b"#!/app/sh");
    assert_eq!(staging.read("ui/deep/er/page.html"), b"text ".repeat(50_000));
    for (path, mode) in
        [("bin/lamp", 0o755), ("ui/deep/er/page.html", 0o644), ("no mode", 0o644), ("empty", 0o755), ("ui/deep", 0o755)]
    {
        assert_eq!(staging.mode(path), mode, "{path}");
    }
}

#[test]
fn m01_no_manifest_at_the_root_is_manifest_invalid() {
    refused("none", &Zip::bare().file("a", b"").build(), "manifest_invalid");
    refused("below", &Zip::bare().file("lamp/manifest.json", b"{}").build(), "manifest_invalid");
    refused("a directory", &Zip::bare().directory("manifest.json/").build(), "manifest_invalid");
    refused("65 KiB", &Zip::bare().file("manifest.json", &[b' '; 65 * 1024]).build(), "manifest_invalid");
}
