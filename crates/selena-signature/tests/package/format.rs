//! What is no `SIGNATURE.json`, whoever signed it.

use selena_signature::PackageSignature;
use serde_json::json;

use super::{check, digests, files, key, refused, signed};

#[test]
fn m14_another_algorithm_is_refused() {
    let key = key();
    for alg in [json!("Ed25519"), json!("ed448"), json!("none"), json!(""), json!(null), json!(["ed25519"])] {
        let mut signature = signed(&key);
        signature["alg"] = alg;
        refused(&key, &signature, "`alg` must be");
    }
}

#[test]
fn m14_a_digest_has_one_form() {
    let key = key();
    let good = signed(&key)["files"]["main.py"].as_str().expect("a text").to_owned();
    for bad in [
        json!(good.to_uppercase()),
        json!(format!("{good} ")),
        json!(format!(" {}", &good[1..])),
        json!(format!("0x{good}")),
        json!(good[2..]),
        json!(format!("{good}00")),
        json!(format!("{}g", &good[1..])),
        json!(""),
        json!(null),
    ] {
        let mut signature = signed(&key);
        signature["files"]["main.py"] = bad;
        refused(&key, &signature, "the digest of `main.py` must be 64 lower-case hex digits");
    }
}

#[test]
fn m14_base64_has_one_form() {
    let key = key();
    // Until it holds what the two alphabets write in two ways.
    let (signature, sig) = (0..)
        .find_map(|_| {
            let signature = PackageSignature::sign(&super::key(), digests(&files())).to_json();
            let value: serde_json::Value = serde_json::from_str(&signature).expect("JSON");
            let sig = value["sig"].as_str().expect("a text").to_owned();
            sig.contains(['+', '/']).then_some((value, sig))
        })
        .expect("almost every signature does");
    let url_safe = sig.replace('+', "-").replace('/', "_");
    // 64 bytes leave 4 bits in the last character that say nothing.
    let last = sig.trim_end_matches('=').chars().last().expect("a character");
    let next = char::from(last as u8 + 1);
    let trailing = format!("{}{next}==", &sig[..sig.len() - 3]);
    let (wrapped, spaced) = (format!("{}\n{}", &sig[..64], &sig[64..]), format!("{sig} "));
    for bad in [sig.trim_end_matches('='), &url_safe, &trailing, &wrapped, &spaced, &sig[4..], &format!("{sig}="), ""] {
        let mut changed = signature.clone();
        changed["sig"] = json!(bad);
        refused(&key, &changed, "`sig` must be 64 bytes as standard base64 with padding");
    }
}

#[test]
fn m14_a_key_id_has_one_form() {
    let key = key();
    let id = key.public().id();
    for bad in
        [json!(id.as_str().to_uppercase().replace(char::is_numeric, "A")), json!(format!("{id} ")), json!(""), json!(1)]
    {
        let mut signature = signed(&key);
        signature["key_id"] = bad;
        assert!(check(&key, signature.to_string().as_bytes()).is_err());
    }
}

#[test]
fn m14_unknown_missing_and_repeated_fields_are_refused() {
    let key = key();
    let mut more = signed(&key);
    more["comment"] = json!("hello");
    refused(&key, &more, "there is no field `comment`");
    for field in ["key_id", "alg", "files", "sig"] {
        let mut less = signed(&key);
        less.as_object_mut().expect("an object").remove(field);
        refused(&key, &less, &format!("`{field}` must be"));
        let text = signed(&key).to_string();
        let twice = text.replacen('{', &format!("{{\"{field}\":{},", signed(&key)[field]), 1);
        assert!(check(&key, twice.as_bytes()).expect_err("it is ambiguous").contains("stands twice"), "{field}");
    }
    let text = signed(&key).to_string();
    let listed_twice = text.replacen("\"main.py\":", "\"main.p\\u0079\":\"\",\"main.py\":", 1);
    assert!(check(&key, listed_twice.as_bytes()).expect_err("it is ambiguous").contains("stands twice"));
}

#[test]
fn m14_a_path_cannot_be_taken_for_two_lines_of_the_message() {
    let key = key();
    let digest = "00".repeat(32);
    for path in [format!("a\0{digest}\nb"), "a\nb".to_owned(), "\0".to_owned(), String::new(), "\u{85}".to_owned()] {
        let mut signature = signed(&key);
        signature["files"][&path] = json!(digest);
        refused(&key, &signature, "is no path of a file");
    }
    let mut signature = signed(&key);
    signature["files"]["SIGNATURE.json"] = json!(digest);
    refused(&key, &signature, "lists SIGNATURE.json itself");
}

#[test]
fn m14_what_is_no_object_of_json_is_refused() {
    let key = key();
    let good = signed(&key).to_string();
    let not_utf8 = [&good.as_bytes()[..good.len() - 3], b"\xff", &good.as_bytes()[good.len() - 2..]].concat();
    let deep = format!("{{\"files\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    let large = format!("{good}{}", " ".repeat(PackageSignature::MAX_BYTES));
    let marked = format!("\u{feff}{good}");
    for bad in
        [b"".as_slice(), b"[]", b"null", b"{}", b"{", &not_utf8, deep.as_bytes(), large.as_bytes(), marked.as_bytes()]
    {
        assert!(check(&key, bad).is_err(), "{:?}", String::from_utf8_lossy(&bad[..bad.len().min(60)]));
    }
}

#[test]
fn paths_are_signed_in_byte_order_whatever_order_they_stand_in() {
    let names: [(&str, &[u8]); 6] =
        [("b", b"1"), ("a", b"2"), ("Z", b"3"), ("a/b", b"4"), ("a.b", b"5"), ("\u{e4}", b"6")];
    let message = String::from_utf8(digests(&names).message()).expect("text");
    let paths: Vec<_> = message.lines().skip(1).map(|line| line.split('\0').next().expect("a path")).collect();
    assert_eq!(paths, ["Z", "a", "a.b", "a/b", "b", "\u{e4}"]);
    assert!(message.starts_with("selena-package-v1\n") && message.ends_with('\n'));
    let key = key();
    let mut signature = signed(&key);
    let mut files: Vec<_> = signature["files"].as_object().expect("an object").clone().into_iter().collect();
    files.reverse();
    signature["files"] = files.into_iter().collect::<serde_json::Map<_, _>>().into();
    assert_eq!(check(&key, signature.to_string().as_bytes()), Ok(()), "the order in the file says nothing");
}
