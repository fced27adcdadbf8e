//! Restoring: from the newest good copy, on a full disk, through links, and not what was announced.

mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use selena_manifest::Digest;
use support::{Place, text};

fn copy_of(place: &Place, version: &str, content: &[u8]) -> PathBuf {
    place.secure().join("core_backup").join(version).join("files").join(Digest::of(content).to_string())
}

#[test]
fn b23_each_copy_is_checked_and_the_next_one_is_taken() {
    let place = Place::recorded();
    place.baseline();
    let newest = copy_of(&place, "000002", b"one");
    fs::write(&newest, "not").expect("spoiled");
    place.write("watched/lib/one", b"changed");
    let output = place.run(&["restore", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stderr);
    assert!(told.contains("this copy is corrupt") && told.contains("000002"), "{told}");
    assert_eq!(place.read("watched/lib/one"), "one");

    fs::remove_file(&newest).expect("removed");
    symlink(copy_of(&place, "000002", b"two"), &newest).expect("linked");
    fs::write(copy_of(&place, "000001", b"one"), "not either").expect("spoiled");
    place.write("watched/lib/one", b"changed");
    let output = place.run(&["restore", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(told.contains("none of 2 copies has the SHA-256") && told.contains("symbolic link"), "{told}");
    assert_eq!(place.read("watched/lib/one"), "changed", "a corrupt copy is never put in place");
}

/// A file system of its own, gone with the test.
struct Small(PathBuf);

impl Small {
    fn new(at: PathBuf) -> Self {
        mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::empty(), Some("size=256k")).expect("mounted, as root");
        Self(at)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _gone_already = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_is_told_and_the_next_attempt_succeeds() {
    let place = Place::new();
    let _small = Small::new(place.watched());
    place.write("watched/large", &[7; 100_000]);
    place.baseline();
    fs::remove_file(place.path("watched/large")).expect("removed");
    let full = place.path("watched/full");
    let mut size = 240_000;
    while size > 0 && fs::write(&full, vec![1; size]).is_err() {
        size -= 4096;
    }
    // The file that fills the disk is announced: it must not be removed to make room.
    let announced = place.run(&["maintenance", "--for", "600", full.to_str().expect("text")]);
    assert!(announced.status.success(), "{}", text(&announced.stderr));
    let output = place.run(&["restore", "--json"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let told = text(&output.stderr);
    assert!(told.contains("free space on this file system") && told.contains("large"), "{told}");
    let names: Vec<_> =
        fs::read_dir(place.watched()).expect("listed").map(|entry| entry.expect("one").file_name()).collect();
    assert_eq!(names, ["full"], "what was begun is removed again");

    fs::remove_file(&full).expect("removed");
    assert_eq!(place.restore().0, 0);
    assert_eq!(fs::read(place.path("watched/large")).expect("there"), [7; 100_000]);
}

#[test]
fn a_link_in_place_of_a_directory_leads_nowhere() {
    let place = Place::recorded();
    let before = place.snapshot();
    fs::rename(place.path("watched/lib"), place.path("elsewhere")).expect("moved");
    symlink(place.path("elsewhere"), place.path("watched/lib")).expect("linked");
    let found = place.found();
    assert!(found.contains(&("type".to_owned(), "lib".to_owned())), "{found:?}");
    let elsewhere = fs::read_dir(place.path("elsewhere")).expect("listed").count();
    assert_eq!(place.restore().0, 0);
    assert!(place.snapshot() == before);
    assert_eq!(fs::read_dir(place.path("elsewhere")).expect("listed").count(), elsewhere, "nothing was written there");
}

#[test]
fn a_file_of_a_terabyte_and_special_files_hold_up_nothing() {
    let place = Place::recorded();
    let terabyte = fs::File::create(place.path("watched/huge")).expect("made");
    terabyte.set_len(1 << 40).expect("sparse");
    support::open_to_change(&place.path("watched/core")).set_len(1 << 40).expect("sparse");
    fs::remove_file(place.path("watched/lib/two")).expect("removed");
    nix::unistd::mkfifo(&place.path("watched/lib/two"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    let begun = std::time::Instant::now();
    let found = place.found();
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    let told = |kind: &str, file: &str| found.contains(&(kind.to_owned(), file.to_owned()));
    assert!(told("unexpected", "huge") && told("changed", "core") && told("type", "lib/two"), "{found:?}");
    assert_eq!(place.restore().0, 0);
}

#[test]
fn an_update_an_operators_change_and_an_unknown_change_are_told_apart() {
    let place = Place::recorded();
    let announce = |kind: &str, path: &Path| {
        let output = place.run(&["maintenance", "--kind", kind, "--for", "600", path.to_str().expect("text")]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    for kind in ["update", "operator"] {
        announce(kind, &place.path("watched/lib"));
        place.write("watched/lib/one", b"new one");
        place.write("watched/lib/three", b"three");
        let (code, report) = place.check();
        assert_eq!((code, report["violations"].as_array().map(Vec::len)), (0, Some(0)), "{report}");
        let announced = report["maintenance"].as_array().expect("a list");
        assert_eq!(announced.len(), 2, "{report}");
        assert!(announced.iter().all(|it| it["by"] == kind), "{report}");

        place.write("watched/core", b"not announced");
        let (code, report) = place.check();
        assert_eq!((code, report["violations"].as_array().map(Vec::len)), (2, Some(1)), "{report}");
        assert_eq!(place.restore().0, 0);
        assert_eq!(place.read("watched/lib/one"), "new one", "what was announced is left alone");

        assert!(place.run(&["maintenance", "--end"]).status.success());
        let found: Vec<_> = place.found().into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(found, ["unexpected", "changed"], "a directory is told before what lies in it");
        assert_eq!(place.restore().0, 0);
    }
    // A notice that is altered, or of another key, announces nothing.
    announce("operator", &place.path("watched/lib"));
    let file = "secure/maintenance.json";
    let altered = place.read(file).replace("watched/lib", "watched");
    place.write(file, altered.as_bytes());
    place.write("watched/lib/one", b"new one");
    let output = place.run(&["check", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("not signed by this hub's key"), "{}", text(&output.stderr));
}
