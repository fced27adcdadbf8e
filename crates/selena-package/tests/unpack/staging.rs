//! Z26 (size), Z27, Z28: the file and the directory around the archive.

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::symlink,
    process::Command,
};

use selena_package::{Limits, unpack};

use super::{Staging, Zip};

#[test]
fn z26_a_package_over_50_mib_is_refused_unread() {
    let staging = Staging::new();
    let file = tempfile::tempfile().unwrap();
    for (bytes, code) in [(51 << 20, "zip_size"), ((50 << 20) + 1, "zip_size"), (50 << 20, "zip_corrupt")] {
        file.set_len(bytes).unwrap();
        assert_eq!(staging.unpack_file(&file).unwrap_err().code(), code, "{bytes} bytes of nothing");
    }
}

#[test]
fn z27_what_the_path_names_now_has_no_effect() {
    let staging = Staging::new();
    let path = staging.dir.path().join("package.zip");
    fs::write(&path, Zip::new().file("good", b"good").build()).unwrap();
    let mut file = File::open(&path).unwrap();
    let evil = staging.dir.path().join("evil.zip");
    fs::write(&evil, Zip::new().file("evil", b"evil").build()).unwrap();
    fs::rename(&evil, &path).unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    assert!(staging.unpack_file(&file).unwrap().files.keys().eq(["good", "manifest.json"]));
    assert_eq!(file.stream_position().unwrap(), Zip::new().file("good", b"good").build().len() as u64, "not moved");
}

#[test]
fn what_is_no_file_is_refused() {
    let staging = Staging::new();
    assert_eq!(staging.unpack_file(&File::open(staging.dir.path()).unwrap()).unwrap_err().code(), "zip_corrupt");
    assert_eq!(staging.unpack_file(&File::open("/dev/zero").unwrap()).unwrap_err().code(), "zip_corrupt");
    let write_only = OpenOptions::new().append(true).open(staging.dir.path().join("secret")).unwrap();
    assert_eq!(staging.unpack_file(&write_only).unwrap_err().code(), "io_error");
}

#[test]
fn z07_links_that_lie_in_staging_lead_nowhere() {
    let archive = Zip::new().file("link/secret", b"evil").build();
    for target in ["..", "/", ".", "/proc/self/cwd", "missing"] {
        let staging = Staging::new();
        symlink(target, staging.dir.path().join("staging/link")).unwrap();
        assert_eq!(staging.unpack(&archive).unwrap_err().code(), "io_error", "{target}");
        assert_eq!(staging.all_paths(), ["secret", "staging", "staging/link"], "{target}");
    }
    let staging = Staging::new();
    symlink("../secret", staging.dir.path().join("staging/manifest.json")).unwrap();
    assert_eq!(staging.unpack(&archive).unwrap_err().code(), "io_error");
    assert_eq!(fs::read(staging.dir.path().join("secret")).unwrap(), b"untouched");
}

#[test]
fn staging_itself_must_be_a_directory_and_no_link() {
    let staging = Staging::new();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&Zip::new().build()).unwrap();
    symlink("staging", staging.dir.path().join("link")).unwrap();
    for path in ["link", "secret", "missing"] {
        let error = unpack(&file, &staging.dir.path().join(path), &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "io_error", "{path}");
    }
    assert_eq!(staging.all_paths(), ["link", "secret", "staging"]);
}

/// Runs the test below in a mount namespace of its own, on a file system of 1 MiB.
#[test]
fn z28_a_full_disk_is_told_and_staging_is_emptied() {
    let small = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=1m,nr_inodes=100 tmpfs \"$1\" && shift && exec \"$@\"";
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(small.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "staging::z28_inside_a_small_disk", "--ignored", "--nocapture"])
        .env("SELENA_TEST_SMALL_DISK", small.path())
        .status()
        .unwrap();
    assert!(status.success(), "needs unshare(1) and user namespaces");
}

#[test]
#[ignore = "started by z28_a_full_disk_is_told_and_staging_is_emptied"]
fn z28_inside_a_small_disk() {
    let disk = std::env::var_os("SELENA_TEST_SMALL_DISK").expect("the test above starts this one");
    let large = Zip::new().file("a/b/small", b"").file("a/large", &vec![b'x'; 2 * 1024 * 1024]).build();
    let many = (0..200).fold(Zip::new(), |zip, index| zip.file(format!("d/{index}"), b"")).build();
    for archive in [large, many] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&archive).unwrap();
        let error = unpack(&file, disk.as_ref(), &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "disk_full");
        assert_eq!(fs::read_dir(&disk).unwrap().count(), 0, "staging is empty again");
    }
}
