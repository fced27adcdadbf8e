//! The worked example of the package format, from its private key on: whoever follows it comes to the same bytes.

use std::collections::BTreeMap;

use selena_signature::{FileDigests, KeyRotation, PackageSignature, PrivateKey, PublicKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

const README: &str = include_str!("../../selena-package/README.md");

/// The code blocks of the page that are in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(fence.as_str()).skip(1).map(|rest| rest.split("\n```").next().expect("a block ends")).collect()
}

fn key() -> PrivateKey {
    let pem = blocks("text").into_iter().find(|block| block.contains("PRIVATE KEY")).expect("the example has a key");
    PrivateKey::from_pem(pem).expect("PEM")
}

fn digests() -> FileDigests {
    let manifest = blocks("json").into_iter().find(|block| block.contains("api_version")).expect("a manifest");
    let files = [("README.md", "Hello.\n"), ("main.py", "print(\"hello\")\n"), ("manifest.json", manifest)];
    for (path, content) in files {
        assert!(README.contains(&format!("`{path}` with the")) || README.contains(&format!("`{path}` with these")));
        assert!(README.contains(&format!("{} bytes", content.len())), "the size of {path}");
    }
    let digest = |(path, content): (&str, &str)| (path.to_owned(), Sha256::digest(content).into());
    FileDigests::new(files.into_iter().map(digest).collect::<BTreeMap<_, _>>())
}

#[test]
fn the_key_has_the_public_key_and_the_id_of_the_page() {
    let public = key().public();
    assert!(README.contains(&format!("`{}`", public.to_base64())), "{}", public.to_base64());
    assert!(README.contains(&format!("`{}`", public.id())), "{}", public.id());
}

#[test]
fn the_message_is_the_pages_byte_by_byte() {
    let message = digests().message();
    let shown = blocks("text").into_iter().find(|block| block.starts_with("selena-package-v1")).expect("a message");
    assert_eq!(String::from_utf8(message.clone()).expect("text"), format!("{}\n", shown.replace('\u{2400}', "\0")));
    let sha256 = hex::encode(Sha256::digest(&message));
    assert!(README.contains(&format!("{} bytes and the SHA-256 `{sha256}`", message.len())));
}

#[test]
fn the_signature_is_the_pages_and_holds() {
    let shown = blocks("json").into_iter().find(|block| block.contains("\"alg\"")).expect("a signature");
    let ours: Value = serde_json::from_str(&PackageSignature::sign(&key(), digests()).to_json()).expect("JSON");
    assert_eq!(serde_json::from_str::<Value>(shown).expect("JSON"), ours, "Ed25519 has one signature of a message");
    let signature = PackageSignature::parse(shown.as_bytes()).expect("it is one, white space and all");
    assert_eq!(signature.verify(&key().public(), &digests()), Ok(()));
}

#[test]
fn the_rotation_is_the_pages_and_holds() {
    let shown = blocks("json").into_iter().find(|block| block.contains("\"old_key_id\"")).expect("a rotation");
    let rotation = KeyRotation::parse(shown.as_bytes()).expect("it is one");
    assert_eq!(rotation.verify(&key().public()), Ok(()));
    let new = PublicKey::from_base64("Kay64UG8yvCyLhqU000LxzYeUm0L/hLIl5S8kyKWbdc=").expect("a key");
    assert_eq!(KeyRotation::sign("Hello", &key(), new).expect("two keys"), rotation);
}
