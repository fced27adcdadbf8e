//! `selenactl module check` and `pack`.

use std::{fs, os::unix::fs::symlink, time::SystemTime};

use serde_json::{Value, json};

use crate::{
    directory::{Directory, STATIC_PROGRAM, manifest},
    fake_hub::Ran,
};

/// The codes of all problems, with their places.
fn problems(ran: &Ran) -> Vec<(String, String)> {
    let of = |problem: &Value| (problem["loc"].to_string(), problem["type"].as_str().expect("a code").to_owned());
    ran.json()["problems"].as_array().expect("a list").iter().map(of).collect()
}

fn pair(place: &str, code: &str) -> (String, String) {
    (place.to_owned(), code.to_owned())
}

#[test]
fn a_good_module_is_told_to_be_good() {
    let lamp = Directory::lamp();
    let ran = lamp.ctl(&["module", "check"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.out.contains("lamp 1.2.0 (DRIVER), 2 files"), "{}", ran.out);
    let report = lamp.ctl(&["--json", "module", "check", "."]).json();
    assert_eq!((&report["ok"], &report["files"], &report["problems"]), (&json!(true), &json!(2), &json!([])));
}

#[test]
fn every_problem_is_told_with_its_place_and_not_only_the_first() {
    let lamp = Directory::lamp();
    let bad = json!({"version": "1", "permissions": ["device.read", "*"], "resources": {"pids": 0}, "odd": 1});
    lamp.file("manifest.json", manifest(bad));
    lamp.file("ui/con.html", "");
    lamp.file("a\u{202e}b", "");
    symlink("/etc/passwd", lamp.path().join("link")).expect("a link");
    let ran = lamp.ctl(&["--json", "module", "check"]);
    assert_eq!(ran.code, Some(1));
    for place in [
        pair("[\"version\"]", "manifest_version"),
        pair("[\"permissions\",1]", "manifest_permission"),
        pair("[\"resources\",\"pids\"]", "manifest_range"),
        pair("[\"ui/con.html\"]", "zip_name"),
        pair("[\"a\u{202e}b\"]", "zip_name"),
        pair("[\"link\"]", "zip_type"),
    ] {
        assert!(problems(&ran).contains(&place), "{place:?} is not in {:?}", problems(&ran));
    }
    assert!(!ran.out.contains('\u{202e}'), "and a terminal is not turned");
    let ran = lamp.ctl(&["module", "check"]);
    assert!(ran.out.contains("problem  permissions[1]: ") && ran.out.ends_with("would be refused\n"), "{}", ran.out);
}

#[test]
fn warnings_and_what_a_person_has_to_grant_are_told() {
    let lamp = Directory::lamp();
    let asks = json!({"permissions": ["network.egress"], "odd": 1, "devices": ["/dev/i2c-1"],
        "network": {"egress": [{"host": "api.example.com", "port": 443, "protocol": "https"}]},
        "ui": {"icon": "ui/icon.svg"}});
    lamp.file("manifest.json", manifest(asks));
    let ran = lamp.ctl(&["module", "check"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for line in [
        "warning  odd: unknown field",
        "warning  ui.icon: the package has no ui/icon.svg",
        "consent  a person has to let it connect to api.example.com, port 443 (https)\n",
        "consent  a person has to let it use the device /dev/i2c-1 of the hub\n",
        "consent  nobody signed it",
    ] {
        assert!(ran.out.contains(line), "{line:?} is not in {}", ran.out);
    }
    let adds = &lamp.ctl(&["--json", "module", "check"]).json()["adds"];
    assert_eq!(adds["permissions"], json!(["network.egress"]));
}

#[test]
fn a_program_that_could_not_run_is_a_problem() {
    let lamp = Directory::lamp();
    let check = |why: &str, code: &str| {
        let ran = lamp.ctl(&["--json", "module", "check"]);
        assert_eq!((ran.code, problems(&ran)), (Some(1), vec![pair("[\"lamp\"]", code)]), "{why}: {ran:?}");
    };
    fs::remove_file(lamp.path().join("lamp")).expect("the program");
    check("it is not there", "manifest_invalid");
    lamp.file("lamp", STATIC_PROGRAM);
    check("it is not executable", "entry_point");
    lamp.executable("lamp", "#!/bin/sh\n");
    check("its interpreter is not there", "entry_point");
    lamp.executable("lamp", fs::read("/proc/self/exe").expect("this program"));
    check("its loader is not there", "entry_point");

    for (change, code) in [
        (json!({"type": "SYSTEM", "port": null}), "manifest_signature"),
        (json!({"transport": "ipc"}), "manifest_incompatible"),
        (json!({"runtime": "oci"}), "manifest_invalid"),
    ] {
        lamp.executable("lamp", STATIC_PROGRAM);
        lamp.file("manifest.json", manifest(change));
        let codes: Vec<_> = problems(&lamp.ctl(&["--json", "module", "check"])).into_iter().map(|(_, c)| c).collect();
        assert_eq!(codes, [code]);
    }
    lamp.file("manifest.json", manifest(json!({"runtime": "oci"})));
    lamp.file("image.tar", "what is in it, the hub finds out");
    let ran = lamp.ctl(&["--json", "module", "check"]);
    assert_eq!((ran.code, problems(&ran)), (Some(0), Vec::new()), "{ran:?}");
}

#[test]
fn the_same_files_make_the_same_package_and_nothing_else_is_in_it() {
    let lamp = Directory::lamp();
    lamp.file("ui/b.html", "b".repeat(5000));
    lamp.file("ui/Ä.html", "");
    lamp.file(".selenaignore", "*.log\n/notes/\n");
    for ignored in [".git/config", "ui/.swp", "a/__pycache__/x.pyc", "target/debug/lamp", "x.log", "notes/a.txt"] {
        lamp.file(ignored, "ignored");
    }
    let ran = lamp.ctl(&["--json", "module", "pack"]);
    assert_eq!((ran.code, ran.json()["file"].as_str()), (Some(0), Some("lamp-1.2.0.zip")), "{ran:?}");
    let first = fs::read(lamp.path().join("lamp-1.2.0.zip")).expect("a package");

    // Another time, another order, another umask, and an earlier package in the way.
    let page = lamp.file("ui/b.html", "b".repeat(5000));
    fs::File::open(page).and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH)).expect("a file");
    let ran = lamp.ctl(&["module", "pack", ".", "-o", "lamp-1.2.0.zip"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(first == fs::read(lamp.path().join("lamp-1.2.0.zip")).expect("a package"));

    let script = "import sys, zipfile\n\
        for one in zipfile.ZipFile(sys.argv[1]).infolist():\n    \
        print(one.filename, oct(one.external_attr >> 16), one.compress_type, one.date_time[0], one.file_size)\n";
    let ran = lamp.python(&["-X", "utf8", "-c", script, "lamp-1.2.0.zip"]);
    let manifest_bytes = fs::metadata(lamp.path().join("manifest.json")).expect("the manifest").len();
    assert_eq!(
        ran.out,
        format!(
            "lamp 0o100755 8 1980 {}\nmanifest.json 0o100644 8 1980 {manifest_bytes}\n\
             ui/b.html 0o100644 8 1980 5000\nui/Ä.html 0o100644 8 1980 0\n",
            STATIC_PROGRAM.len()
        )
    );
    let ran = lamp.ctl(&["--json", "module", "check", "lamp-1.2.0.zip"]);
    assert_eq!((ran.code, &ran.json()["files"]), (Some(0), &json!(4)), "what is packed is good: {ran:?}");
}

#[test]
fn what_a_hub_would_refuse_is_not_packed() {
    let lamp = Directory::lamp();
    let refused = |code: &str| {
        let ran = lamp.ctl(&["--json", "module", "pack"]);
        let codes: Vec<_> = problems(&ran).into_iter().map(|(_, code)| code).collect();
        assert_eq!((ran.code, codes), (Some(1), vec![code.to_owned()]), "{ran:?}");
        let left = fs::read_dir(lamp.path()).expect("a directory").flatten().map(|item| item.file_name());
        assert!(!left.into_iter().any(|name| name != "lamp" && name != "manifest.json" && name != "file"));
    };
    let file = lamp.path().join("file");
    symlink("/etc/passwd", &file).expect("a link");
    refused("zip_type");
    fs::remove_file(&file).expect("the link");
    // It shows only when it is packed.
    lamp.file("file", vec![0; 2 << 20]);
    refused("zip_ratio");
    fs::File::create(&file).and_then(|file| file.set_len(201 << 20)).expect("a file with a hole");
    refused("zip_size");
    fs::remove_file(&file).expect("the file");
    lamp.file("manifest.json", "{");
    refused("manifest_invalid");
    assert_eq!(lamp.ctl(&["module", "pack", "manifest.json"]).code, Some(2), "no directory");
    assert_eq!(lamp.ctl(&["module", "pack", "absent"]).code, Some(2));
}

#[test]
fn a_package_made_by_other_means_is_checked_too() {
    let here = Directory::new();
    let script = "import sys, zipfile\n\
        with zipfile.ZipFile('bad.zip', 'w') as zip:\n    \
        zip.writestr('manifest.json', sys.argv[1])\n    \
        zip.writestr('../evil', '')\n    \
        link = zipfile.ZipInfo('link')\n    \
        link.external_attr = 0o120777 << 16\n    \
        zip.writestr(link, '/secure')\n    \
        zip.writestr('main.py', '')\n    \
        [zip.writestr(f'f/{n}', '') for n in range(2000)]\n";
    assert_eq!(here.python(&["-c", script, &manifest(json!({}))]).err, "");
    let ran = here.ctl(&["--json", "module", "check", "bad.zip"]);
    let expected = [pair("[]", "zip_entries"), pair("[\"../evil\"]", "zip_path"), pair("[\"link\"]", "zip_type")];
    assert_eq!((ran.code, problems(&ran)), (Some(1), expected.to_vec()));

    for (name, content) in [("empty.zip", &b""[..]), ("cut.zip", b"PK\x03\x04"), ("text.zip", b"hello")] {
        here.file(name, content);
        let ran = here.ctl(&["module", "check", name]);
        assert!(ran.code == Some(1) && ran.err.contains("is not a whole ZIP file"), "{ran:?}");
    }
    assert_eq!(here.ctl(&["module", "check", "absent.zip"]).code, Some(1));
}

#[test]
fn z09_and_z17_names_that_readers_see_differently_are_told() {
    let lamp = Directory::lamp();
    let zip = selena_forge::Zip::new().file("b\u{fc}cher", b"").file("ui/a", b"").file("UI/b", b"");
    lamp.file("odd.zip", zip.build());
    let found = problems(&lamp.ctl(&["--json", "module", "check", "odd.zip"]));
    for place in [pair("[\"b\u{fffd}cher\"]", "zip_name"), pair("[\"ui\"]", "zip_duplicate")] {
        assert!(found.contains(&place), "{place:?} is not in {found:?}");
    }
}
