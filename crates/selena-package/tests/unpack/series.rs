//! The table of series Z, which fuzzing, the benchmark and the black-box tests share.

use super::{Staging, forge, refused};

#[test]
fn z_each_archive_of_the_table_gets_its_answer() {
    for case in forge::series() {
        let what = format!("{}: {}", case.id, case.what);
        match case.code {
            Some(code) => refused(&what, &case.archive, code),
            None => {
                let unpacked = Staging::new().unpack(&case.archive);
                assert!(unpacked.is_ok(), "{what}: {}", unpacked.unwrap_err());
            }
        }
    }
}

#[test]
fn z08_owners_and_modes_of_extra_fields_have_no_effect() {
    for case in forge::series().into_iter().filter(|case| case.id == "z08" && case.what.contains("field")) {
        let staging = Staging::new();
        staging.unpack(&case.archive).unwrap();
        assert_eq!(staging.mode("a"), 0o644, "{}", case.what);
    }
}

#[test]
fn z09_names_equal_after_normalisation_are_two_files() {
    let case = forge::series().into_iter().find(|case| case.what.contains("normalisation")).unwrap();
    let staging = Staging::new();
    assert_eq!(staging.unpack(&case.archive).unwrap().files.len(), 3);
    assert_eq!((staging.read("\u{e9}"), staging.read("e\u{301}")), (b"1".to_vec(), b"2".to_vec()));
}
