//! `selenactl module new`.

use std::fs;

use crate::directory::Directory;

const TYPES: [&str; 5] = ["DRIVER", "INTEGRATION", "IMPORT_SOURCE", "AUTOMATION", "UI"];

#[test]
fn a_new_python_module_of_every_type_passes_its_test_and_the_check() {
    let here = Directory::new();
    for (kind, name) in TYPES.iter().zip(["a-driver", "an-int", "an-import", "auto7", "ui-page"]) {
        let ran = here.ctl(&["module", "new", name, "--type", kind]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        assert!(ran.out.contains("selenactl module dev"), "{}", ran.out);
        let tests = format!("{name}/tests");
        let ran = here.python(&["-B", "-m", "unittest", "discover", "-s", &tests]);
        assert_eq!(ran.code, Some(0), "{kind}: {ran:?}");
        let report = here.ctl(&["--json", "module", "check", name]).json();
        assert_eq!((report["ok"].as_bool(), report["type"].as_str()), (Some(true), Some(*kind)), "{report}");
        assert_eq!(report["warnings"].as_array().map(Vec::len), Some(0), "{report}");
        let ran = here.ctl(&["--json", "module", "pack", name]);
        assert_eq!(ran.json()["files"].as_i64(), Some(if *kind == "UI" { 4 } else { 2 }), "only what is needed");
    }
}

#[test]
fn what_is_there_is_not_overwritten() {
    let here = Directory::new();
    here.file("lamp/notes.txt", "mine");
    for arguments in [&["module", "new", "lamp"][..], &["module", "new", "lamp", "lamp/notes.txt"]] {
        let ran = here.ctl(arguments);
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.contains("nothing was written"), "{}", ran.err);
    }
    assert_eq!(fs::read_dir(here.path().join("lamp")).expect("a directory").count(), 1);
    fs::create_dir(here.path().join("empty")).expect("a directory");
    let ran = here.ctl(&["--json", "module", "new", "lamp", "empty", "--port", "8123"]);
    assert_eq!((ran.code, ran.json()["port"].as_i64()), (Some(0), Some(8123)));
}

#[test]
fn what_cannot_be_made_is_wrong_usage() {
    let here = Directory::new();
    for arguments in [
        &["Lamp"][..],
        &["selena-x"],
        &["../lamp"],
        &["lamp", "--type", "SYSTEM"],
        &["lamp", "--port", "80"],
        &["lamp", "--language", "cobol"],
        &["lamp", "--sdk", "."],
    ] {
        let ran = here.ctl(&[&["module", "new"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
    }
    let ran = here.ctl(&["module", "new", "lamp", "-l", "rust", "--sdk", "."]);
    assert!(ran.code == Some(1) && ran.err.contains("holds no selena-sdk"), "{ran:?}");
    assert_eq!(fs::read_dir(here.path()).expect("a directory").count(), 0);
}

#[test]
fn a_new_rust_module_without_the_sdk_at_hand_says_what_is_to_do() {
    let here = Directory::new();
    let ran = here.ctl(&["module", "new", "lamp", "--language", "rust"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("put the path of selena-sdk into Cargo.toml"), "{}", ran.out);
    let cargo = fs::read_to_string(here.path().join("lamp/Cargo.toml")).expect("a file");
    assert!(cargo.contains("# selena-sdk = "), "{cargo}");
}
