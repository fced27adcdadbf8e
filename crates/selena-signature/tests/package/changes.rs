//! What was changed after it was signed.

use selena_signature::{FileVerdict, PackageSignature};

use super::{check, digests, files, key, refused, signed};

/// What is said of a package with other files than those that were signed.
#[track_caller]
fn told(found: &[(&str, &[u8])]) -> String {
    let key = key();
    let signature = PackageSignature::sign(&key, digests(&files()));
    signature.verify(&key.public(), &digests(found)).expect_err("it must be refused").to_string()
}

#[test]
fn a_signature_over_exactly_these_files_holds() {
    let key = key();
    assert_eq!(check(&key, signed(&key).to_string().as_bytes()), Ok(()));
    let mut with_itself = files();
    with_itself.push((PackageSignature::FILE, b"whatever"));
    let signature = PackageSignature::sign(&key, digests(&files()));
    assert_eq!(signature.verify(&key.public(), &digests(&with_itself)), Ok(()), "it does not list itself");
}

#[test]
fn m14_a_file_with_another_hash_is_refused_and_named() {
    let mut found = files();
    found[0].1 = b"print('evil')\n";
    assert!(told(&found).contains("`main.py` was changed after it was signed"), "{}", told(&found));
}

#[test]
fn m14_a_replaced_manifest_is_refused_and_named() {
    let mut found = files();
    found[2].1 = br#"{"name":"lamp","version":"2.0.0"}"#;
    assert!(told(&found).contains("`manifest.json` was changed"), "{}", told(&found));
}

#[test]
fn m14_a_file_that_nobody_signed_is_refused_and_named() {
    let mut found = files();
    found.push(("ui/\u{1b}[2J", b""));
    assert!(told(&found).contains("`ui/\\u{1b}[2J` was added after the package was signed"), "{}", told(&found));
    found.pop();
    found.push(("ui/icon.svg/", b""));
    assert!(told(&found).contains("was added"), "paths are compared as they are");
}

#[test]
fn m14_a_signed_file_that_is_missing_is_refused_and_named() {
    let mut found = files();
    found.remove(1);
    assert!(told(&found).contains("`ui/icon.svg` was signed, and is missing"), "{}", told(&found));
}

#[test]
fn m14_of_many_bad_files_the_first_are_named() {
    let told = told(&[("a", b""), ("b", b""), ("c", b"")]);
    assert!(told.contains("`a` was added") && told.contains("and 3 more"), "{told}");
}

#[test]
fn m14_swapped_contents_and_names_in_other_case_are_refused() {
    let mut swapped = files();
    (swapped[0].1, swapped[1].1) = (swapped[1].1, swapped[0].1);
    assert!(told(&swapped).contains("`main.py` was changed"));
    let mut other_case = files();
    other_case[0].0 = "Main.py";
    let told = told(&other_case);
    assert!(told.contains("`Main.py` was added") && told.contains("`main.py` was signed, and is missing"), "{told}");
}

#[test]
fn m14_a_list_that_was_changed_to_fit_the_files_is_refused() {
    let key = key();
    let mut signature = signed(&key);
    signature["files"]["evil.py"] = serde_json::json!("00".repeat(32));
    refused(&key, &signature, "the signature is not by key");
    let mut signature = signed(&key);
    signature["files"].as_object_mut().expect("an object").remove("main.py");
    refused(&key, &signature, "the signature is not by key");
}

#[test]
fn each_file_has_its_verdict() {
    let mut found = files();
    found[0].1 = b"other";
    found.remove(1);
    found.push(("new", b""));
    let verdicts = digests(&files()).verdicts(&digests(&found));
    let expected = [
        ("main.py", FileVerdict::Changed),
        ("manifest.json", FileVerdict::Good),
        ("new", FileVerdict::NotListed),
        ("ui/icon.svg", FileVerdict::Missing),
    ];
    assert_eq!(verdicts, expected.map(|(path, verdict)| (path.to_owned(), verdict)));
}

#[test]
fn m14_no_byte_of_a_file_can_be_another_one() {
    let key = key();
    let signature = PackageSignature::sign(&key, digests(&files()));
    for (file, (_, content)) in files().iter().enumerate() {
        for at in 0..content.len() {
            for bit in 0..8 {
                let mut changed = content.to_vec();
                changed[at] ^= 1 << bit;
                let mut found = files();
                found[file].1 = &changed;
                assert!(
                    signature.verify(&key.public(), &digests(&found)).is_err(),
                    "file {file}, byte {at}, bit {bit}"
                );
            }
        }
    }
}

#[test]
fn m14_no_byte_of_the_signature_file_can_be_another_one() {
    let key = key();
    let good = PackageSignature::sign(&key, digests(&files())).to_json().into_bytes();
    for at in 0..good.len() {
        for other in 0..=u8::MAX {
            let mut changed = good.clone();
            changed[at] = other;
            assert_eq!(check(&key, &changed).is_ok(), other == good[at], "byte {at} as {other:#04x}");
        }
    }
}

#[test]
fn m14_a_signature_file_that_is_cut_or_has_more_is_refused() {
    let key = key();
    let good = PackageSignature::sign(&key, digests(&files())).to_json().into_bytes();
    for cut in 0..good.len() {
        assert!(check(&key, &good[..cut]).is_err(), "{cut} bytes");
    }
    assert!(check(&key, &[good.as_slice(), b"{}"].concat()).is_err());
}
