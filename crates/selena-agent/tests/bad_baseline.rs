//! Baselines that are not the signed one (B20, S05), and how they come back or do not.

mod support;

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
};

use selena_manifest::Digest;
use serde_json::json;
use support::{Place, text};

/// Each of these is found and called by its name, never a crash; and put right from the copy.
fn tampered(place: &Place, change: impl FnOnce(&Place)) -> String {
    change(place);
    let (code, report) = place.check();
    assert_eq!((code, &report["status"]), (3, &json!("MANIFEST_TAMPERED")), "{report}");
    assert_eq!(report["violations"][0]["kind"], "tampered");
    let (code, report_after) = place.restore();
    assert_eq!(code, 0, "{report_after}");
    report["violations"][0]["actual"].as_str().expect("a reason").to_owned()
}

fn forge(place: &Place, manifest: &str) {
    place.write("secure/core.manifest", manifest.as_bytes());
    place.write("secure/master.hash", Digest::of(manifest.as_bytes()).to_string().as_bytes());
}

#[test]
fn b20_every_way_to_spoil_the_baseline_is_found_and_undone() {
    let place = Place::recorded();
    let million = format!("{{{}\"/z\":\"\"}}", format!("\"/usr/lib/x\":\"{}\",\n", Digest::of(b"")).repeat(1_000_000));
    let zero = Digest::of(b"").to_string();
    let remove = |name: &'static str| move |place: &Place| fs::remove_file(place.secure().join(name)).expect("removed");
    for name in ["core.manifest", "core.manifest.sig", "master.hash", "core.attrs"] {
        let reason = tampered(&place, remove(name));
        assert!(reason.contains(&format!("{name} is missing")), "{reason}");
        let reason = tampered(&place, |place| place.write(&format!("secure/{name}"), b""));
        assert!(!reason.is_empty(), "{name}");
    }
    for (manifest, told) in [
        (million.as_str(), "bytes are read"),
        (&format!("{{\"/etc/../x\":\"{zero}\"}}"), "core.manifest.sig does not fit"),
        ("{", "core.manifest.sig does not fit"),
    ] {
        let reason = tampered(&place, |place| forge(place, manifest));
        assert!(reason.contains(told), "{reason}");
    }
    let reason = tampered(&place, |place| place.write("secure/core.manifest.sig", &[b'A'; 88]));
    assert!(reason.contains("core.manifest.sig does not fit"), "{reason}");
}

#[test]
fn whoever_rewrites_manifest_hash_and_signature_without_the_key_is_found() {
    let (place, other) = (Place::recorded(), Place::recorded());
    for name in ["core.manifest", "core.manifest.sig", "master.hash", "core.attrs"] {
        fs::copy(other.secure().join(name), place.secure().join(name)).expect("copied");
    }
    let (code, report) = place.check();
    assert_eq!(code, 3, "{report}");
    assert!(report.to_string().contains("core.manifest.sig does not fit"), "{report}");
}

#[test]
fn s05_files_that_others_could_have_written_are_refused() {
    let place = Place::recorded();
    for name in ["core.manifest", "core.manifest.sig", "master.hash", "core.attrs"] {
        let file = place.secure().join(name);
        let reason = tampered(&place, |_| fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("changed"));
        assert!(reason.contains("mode 0644"), "{reason}");
        let reason = tampered(&place, |_| chown(&file, Some(1234), None).expect("changed"));
        assert!(reason.contains("user 1234"), "{reason}");
        let second = place.secure().join("second");
        let reason = tampered(&place, |_| fs::hard_link(&file, &second).expect("linked"));
        assert!(reason.contains("2 names"), "{reason}");
        let reason = tampered(&place, |_| {
            fs::rename(&file, &second).expect("moved");
            symlink(&second, &file).expect("linked");
        });
        assert!(reason.contains("symbolic link"), "{reason}");
        fs::remove_file(&second).expect("removed");
    }
    fs::set_permissions(place.secure(), Permissions::from_mode(0o777)).expect("changed");
    let output = place.run(&["check"]);
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("nobody else may write"), "{}", text(&output.stderr));
}

#[test]
fn b23_a_copy_of_the_baseline_that_is_corrupt_is_passed_over() {
    let place = Place::recorded();
    place.baseline();
    let spoil = |version: &str| place.write(&format!("secure/core_backup/{version}/core.manifest"), b"{}");
    spoil("000002");
    let _reason = tampered(&place, |place| place.write("secure/core.manifest", b"{}"));
    spoil("000001");
    place.write("secure/core.manifest", b"{}");
    let output = place.run(&["restore", "--json"]);
    assert_eq!(output.status.code(), Some(1), "nothing is left to restore from");
    assert!(text(&output.stderr).contains("none of 2 copies of the baseline"), "{}", text(&output.stderr));
    assert_eq!(place.check().0, 3);
}

#[test]
fn a_baseline_that_cannot_be_kept_is_not_made() {
    let place = Place::recorded();
    let refused = |arguments: &[&str], code: i32, told: &str| {
        let output = place.run(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(told), "{arguments:?}: {errors}");
        assert_eq!(place.check().0, 0, "the old one holds");
    };
    let (pipe, empty) = (place.path("pipe"), place.path("empty"));
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("made");
    fs::create_dir(&empty).expect("made");
    refused(&["baseline", pipe.to_str().expect("text")], 1, "only files, directories and symbolic links");
    refused(&["baseline", empty.to_str().expect("text")], 1, "protects nothing");
    refused(&["baseline", "/no/such/file"], 1, "No such file");
    refused(&["baseline", "/"], 1, "the root itself");
    refused(&["baseline", place.secure().to_str().expect("text")], 1, "changes all the time");
    refused(&["baseline", place.dir.path().to_str().expect("text")], 1, "changes all the time");
    refused(&["check", "--no-such-option"], 78, "unexpected argument");
    refused(&["--core-url", "https://example.invalid", "run"], 1, "on this machine");
}

#[test]
fn the_signing_key_lies_outside_and_a_lost_public_half_is_a_finding() {
    let place = Place::recorded();
    let mut command = std::process::Command::new(support::AGENT);
    command.arg("--secure-dir").arg(place.secure()).arg("--data-dir").arg(place.path("data"));
    let output = command.arg("--signing-key").arg(place.secure().join("key")).arg("check").output().expect("runs");
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("outside --secure-dir"), "{}", text(&output.stderr));
    let mode = fs::metadata(place.path("keys/agent.key")).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(place.status()["self_signed"], true);
    fs::remove_file(place.path("keys/agent.key.pub")).expect("removed");
    assert_eq!(place.check().0, 3);
    place.baseline();
    assert_eq!(place.check().0, 0, "the key that signs makes it again");
}
