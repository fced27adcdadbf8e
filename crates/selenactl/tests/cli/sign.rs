//! `selenactl module sign`, `verify` and `pack --sign`.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    directory::{Directory, STATIC_PROGRAM, manifest},
    fake_hub::Ran,
};

/// The module `lamp`, and keys `mine` and `other` beside it.
fn lamp() -> Directory {
    let here = Directory::new();
    here.file("lamp/manifest.json", manifest(json!({})));
    here.executable("lamp/lamp", STATIC_PROGRAM);
    here.file("lamp/ui/\u{c4}.html", "hello");
    for key in ["mine", "other"] {
        assert_eq!(here.ctl(&["publisher", "keygen", key]).code, Some(0));
    }
    here
}

#[track_caller]
fn done(ran: Ran) -> Ran {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

fn verify(here: &Directory, file: &str, key: &str) -> (Option<i32>, Value) {
    let ran = here.ctl(&["--json", "module", "verify", file, "--key", key]);
    (ran.code, ran.json())
}

/// The verdict of a file.
fn verdict<'a>(report: &'a Value, path: &str) -> &'a str {
    let files = report["files"].as_array().expect("a list");
    files.iter().find(|one| one["path"] == path).and_then(|one| one["verdict"].as_str()).unwrap_or("no such file")
}

#[test]
fn what_is_signed_is_verified_with_the_key_and_with_no_other() {
    let here = lamp();
    let ran = done(here.ctl(&["module", "sign", "lamp", "--key", "mine", "-o", "lamp.zip"]));
    assert!(ran.out.contains("signed with key "), "{}", ran.out);
    let (code, report) = verify(&here, "lamp.zip", "mine.pub");
    assert_eq!((code, &report["ok"], &report["signature"]), (Some(0), &json!(true), &json!("good")), "{report}");
    assert_eq!(report["files"].as_array().map(Vec::len), Some(3));
    let (code, report) = verify(&here, "lamp.zip", "other.pub");
    assert_eq!((code, &report["signature"]), (Some(1), &json!("other key")));
    let ran = here.ctl(&["module", "verify", "lamp.zip"]);
    assert!(ran.code == Some(1) && ran.out.contains("--key to be sure"), "{ran:?}");
    let checked = done(here.ctl(&["--json", "module", "check", "lamp.zip"])).json();
    assert_eq!((&checked["ok"], &checked["signed"]), (&json!(true), &json!(true)));
}

#[test]
fn every_way_to_sign_gives_the_same_package() {
    let here = lamp();
    let read = |name: &str| fs::read(here.path().join(name)).expect("a package");
    done(here.ctl(&["module", "sign", "lamp", "--key", "mine", "-o", "a.zip"]));
    done(here.ctl(&["module", "pack", "lamp", "--sign", "mine", "-o", "b.zip"]));
    done(here.ctl(&["module", "pack", "lamp", "-o", "c.zip"]));
    let unsigned = read("c.zip");
    done(here.ctl(&["module", "sign", "c.zip", "--key", "other"]));
    done(here.ctl(&["module", "sign", "c.zip", "--key", "mine"]));
    assert!(read("a.zip") == read("b.zip") && read("a.zip") == read("c.zip"), "also over another signature");
    assert!(read("a.zip") != unsigned);
}

#[test]
fn a_package_of_another_packer_keeps_its_files_and_modes_when_it_is_signed() {
    let here = lamp();
    let script = "import zipfile\n\
        with zipfile.ZipFile('made.zip', 'w') as zip:\n    \
        zip.write('lamp/manifest.json', 'manifest.json')\n    \
        zip.write('lamp/lamp', 'lamp')\n    \
        zip.writestr('ui/', '')\n    \
        zip.writestr('ui/page.html', 'x' * 100)\n";
    assert_eq!(here.python(&["-c", script]).err, "");
    done(here.ctl(&["module", "sign", "made.zip", "--key", "mine"]));
    assert_eq!(verify(&here, "made.zip", "mine.pub").0, Some(0));
    let list = "import zipfile\nfor one in zipfile.ZipFile('made.zip').infolist():\n    \
        print(one.filename, oct(one.external_attr >> 16))\n";
    let listed = here.python(&["-c", list]).out;
    assert_eq!(listed, "lamp 0o100755\nmanifest.json 0o100644\nui/page.html 0o100644\nSIGNATURE.json 0o100644\n");
}

#[test]
fn m14_what_was_changed_after_it_was_signed_is_told_file_by_file() {
    let here = lamp();
    done(here.ctl(&["module", "sign", "lamp", "--key", "mine", "-o", "lamp.zip"]));
    let script = "import zipfile\n\
        old = zipfile.ZipFile('lamp.zip')\n\
        with zipfile.ZipFile('bad.zip', 'w') as zip:\n    \
        [zip.writestr(one, old.read(one)) for one in ['manifest.json', 'SIGNATURE.json']]\n    \
        info = zipfile.ZipInfo('lamp')\n    \
        info.external_attr = 0o100755 << 16\n    \
        zip.writestr(info, old.read('lamp') + b'evil')\n    \
        zip.writestr('evil', '')\n";
    assert_eq!(here.python(&["-c", script]).err, "");
    let (code, report) = verify(&here, "bad.zip", "mine.pub");
    assert_eq!((code, &report["ok"], &report["signature"]), (Some(1), &json!(false), &json!("good")));
    for (path, expected) in
        [("manifest.json", "good"), ("lamp", "changed"), ("evil", "not listed"), ("ui/\u{c4}.html", "missing")]
    {
        assert_eq!(verdict(&report, path), expected, "{path}");
    }
    let ran = here.ctl(&["module", "verify", "bad.zip", "--key", "mine.pub"]);
    assert!(ran.out.contains("BAD   lamp was changed after it was signed\n"), "{}", ran.out);
    assert!(ran.out.ends_with("it is not what was signed\n"), "{}", ran.out);
    let checked = here.ctl(&["--json", "module", "check", "bad.zip"]);
    let problems: Vec<_> =
        checked.json()["problems"].as_array().expect("a list").iter().map(|one| one["type"].clone()).collect();
    assert_eq!((checked.code, problems), (Some(1), vec![json!("manifest_signature"); 3]));
}

#[test]
fn an_unsigned_package_says_so() {
    let here = lamp();
    let ran = done(here.ctl(&["module", "pack", "lamp", "-o", "lamp.zip"]));
    assert!(ran.out.ends_with(", UNSIGNED\n"), "{}", ran.out);
    let ran = here.ctl(&["module", "verify", "lamp.zip", "--key", "mine.pub"]);
    assert!(ran.code == Some(1) && ran.out.contains("UNSIGNED"), "{ran:?}");
    let ran = done(here.ctl(&["module", "check", "lamp.zip"]));
    assert!(ran.out.contains("UNSIGNED"), "{}", ran.out);
}

#[test]
fn a_signature_that_is_none_is_a_problem() {
    let here = lamp();
    here.file("lamp/SIGNATURE.json", "{}");
    let ran = here.ctl(&["module", "pack", "lamp"]);
    assert!(ran.code == Some(1) && ran.out.contains("(manifest_signature)"), "{ran:?}");
    done(here.ctl(&["module", "pack", "lamp", "--sign", "mine", "-o", "lamp.zip"]));
    assert_eq!(verify(&here, "lamp.zip", "mine.pub").0, Some(0), "a new one takes its place");
}

#[test]
fn a_private_key_that_others_can_read_signs_nothing() {
    let here = lamp();
    for mode in [0o640, 0o604, 0o660, 0o644] {
        fs::set_permissions(here.path().join("mine"), Permissions::from_mode(mode)).expect("a mode");
        let ran = here.ctl(&["module", "sign", "lamp", "--key", "mine", "-o", "lamp.zip"]);
        assert!(ran.code == Some(1) && ran.err.contains(&format!("mode {mode:04o}")), "{ran:?}");
        assert!(ran.err.contains("chmod 600"), "{}", ran.err);
    }
    for (key, why) in [("mine.pub", "can be read by others"), ("absent", "cannot open absent"), ("lamp", "is no file")]
    {
        let ran = here.ctl(&["module", "pack", "lamp", "--sign", key, "-o", "lamp.zip"]);
        assert!(ran.code == Some(1) && ran.err.contains(why), "{ran:?}");
    }
    let public = here.path().join("mine.pub");
    fs::set_permissions(&public, Permissions::from_mode(0o600)).expect("a mode");
    let ran = here.ctl(&["module", "sign", "lamp", "--key", "mine.pub", "-o", "lamp.zip"]);
    assert!(ran.code == Some(1) && ran.err.contains("no Ed25519 private key"), "{ran:?}");
    assert!(!here.path().join("lamp.zip").exists(), "nothing was packed");
}

#[test]
fn a_key_of_openssl_signs_too() {
    let here = lamp();
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-algorithm", "ed25519", "-out", "made.key"]);
    done(here.run(openssl));
    let mut openssl = Command::new("openssl");
    openssl.args(["pkey", "-in", "made.key", "-pubout", "-out", "made.pub"]);
    done(here.run(openssl));
    fs::set_permissions(here.path().join("made.key"), Permissions::from_mode(0o600)).expect("a mode");
    done(here.ctl(&["module", "sign", "lamp", "--key", "made.key", "-o", "lamp.zip"]));
    assert_eq!(verify(&here, "lamp.zip", "made.pub").0, Some(0));
}
