//! Sealed secrets, and those who try to change them (S01, S02, S03, S06).

use std::collections::HashSet;

use selena_core::ports::{SealError, Sealer};
use selena_vault::FileKeySealer;

const CONTEXT: &str = "token lamp acme 7";

fn sealer() -> FileKeySealer {
    let dir = tempfile::tempdir().expect("a temporary directory");
    FileKeySealer::open_or_create(dir.path()).expect("a key")
}

#[track_caller]
fn refused(sealer: &FileKeySealer, context: &str, sealed: &[u8]) {
    assert!(matches!(sealer.open(context, sealed), Err(SealError::Corrupt)));
}

#[test]
fn what_was_sealed_opens() {
    let sealer = sealer();
    for secret in [&b""[..], b"x", &[0; 100_000]] {
        let sealed = sealer.seal(CONTEXT, secret).expect("sealed");
        assert_eq!(sealed.len(), 1 + 8 + 12 + secret.len() + 16);
        assert_eq!(sealer.open(CONTEXT, &sealed).expect("opened"), secret);
    }
}

#[test]
fn s01_every_flipped_bit_is_refused() {
    let sealer = sealer();
    let sealed = sealer.seal(CONTEXT, b"a secret of some length").expect("sealed");
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refused(&sealer, CONTEXT, &flipped);
    }
    assert!(sealer.open(CONTEXT, &sealed).is_ok(), "the untouched one still opens");
}

#[test]
fn s02_empty_truncated_and_doubled_are_refused() {
    let sealer = sealer();
    let sealed = sealer.seal(CONTEXT, b"secret").expect("sealed");
    for length in 0..sealed.len() {
        refused(&sealer, CONTEXT, &sealed[..length]);
        refused(&sealer, CONTEXT, &sealed[length + 1..]);
    }
    refused(&sealer, CONTEXT, &sealed.repeat(2));
    refused(&sealer, CONTEXT, &[sealed.as_slice(), &[0]].concat());
}

#[test]
fn s03_another_context_is_refused() {
    let sealer = sealer();
    let sealed = sealer.seal(CONTEXT, b"secret").expect("sealed");
    for other in ["", "token lamp acme 8", "token lamp acme 7 ", "token lamp acme", "token other acme 7"] {
        refused(&sealer, other, &sealed);
    }
}

#[test]
fn s04_another_key_is_refused() {
    let sealed = sealer().seal(CONTEXT, b"secret").expect("sealed");
    refused(&sealer(), CONTEXT, &sealed);
}

#[test]
fn s06_no_nonce_comes_twice() {
    const SEALS: usize = 1_000_000;
    let sealer = sealer();
    let mut nonces = HashSet::with_capacity(SEALS);
    for _ in 0..SEALS {
        let sealed = sealer.seal("", b"").expect("sealed");
        assert!(nonces.insert(<[u8; 12]>::try_from(&sealed[9..21]).expect("12 bytes")));
    }
}

#[test]
fn l03_debug_shows_nothing_of_the_key() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sealer = FileKeySealer::open_or_create(dir.path()).expect("a key");
    let key = std::fs::read(dir.path().join("hub.key")).expect("the key file");
    let shown = format!("{sealer:?}");
    assert!(shown.starts_with("FileKeySealer { key_id: \"") && shown.len() < 60, "{shown}");
    assert!(key.windows(4).all(|part| !shown.contains(&part.iter().map(|b| format!("{b:02x}")).collect::<String>())));
}
