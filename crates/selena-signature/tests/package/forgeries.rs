//! Signatures that lax programs take.

use base64::{Engine, engine::general_purpose::STANDARD};
use curve25519_dalek::Scalar;
use selena_signature::{PackageSignature, PrivateKey, PublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use super::{digests, files, key, refused, signed};

/// The order of the group, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn bytes(signature: &Value) -> [u8; 64] {
    let bytes = STANDARD.decode(signature["sig"].as_str().expect("a text")).expect("base64");
    bytes.try_into().expect("64 bytes")
}

#[test]
fn m14_a_signature_by_another_key_is_refused() {
    let (ours, other) = (key(), key());
    refused(&ours, &signed(&other), "the package says it is signed with key");
    let mut renamed = signed(&other);
    renamed["key_id"] = json!(ours.public().id());
    refused(&ours, &renamed, "the signature is not by key");
}

#[test]
fn m14_a_signature_of_something_else_is_refused() {
    let key = key();
    let mut signature = signed(&key);
    let other = PackageSignature::sign(&key, digests(&[("manifest.json", b"{}")]));
    let other: Value = serde_json::from_str(&other.to_json()).expect("JSON");
    signature["sig"] = other["sig"].clone();
    refused(&key, &signature, "the signature is not by key");
}

#[test]
fn m14_the_second_form_of_a_signature_is_refused() {
    let key = key();
    let mut signature = signed(&key);
    let mut second = bytes(&signature);
    let mut carry = 0;
    for (byte, order) in second[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0, "S + L has 32 bytes");
    signature["sig"] = json!(STANDARD.encode(second));
    refused(&key, &signature, "the signature is not by key");
}

#[test]
fn m14_a_signature_with_a_point_of_small_order_is_refused() {
    // By the key's owner, with R = the neutral point: it fulfils the equation, and is still not a signature.
    let seed = [7_u8; 32];
    let der = [&hex::decode("302e020100300506032b657004220420").expect("hex")[..], &seed].concat();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
    let key = PrivateKey::from_pem(&pem).expect("a key");
    let expanded: [u8; 64] = Sha512::digest(seed).into();
    let mut secret: [u8; 32] = expanded[..32].try_into().expect("32 bytes");
    secret[0] &= 0xf8;
    secret[31] = (secret[31] & 0x7f) | 0x40;
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let hash = Sha512::new().chain_update(neutral).chain_update(key.public().as_bytes());
    let hash = Scalar::from_hash(hash.chain_update(digests(&files()).message()));
    let s = (hash * Scalar::from_bytes_mod_order(secret)).to_bytes();
    let forged: [u8; 64] = [neutral, s].concat().try_into().expect("64 bytes");
    lax_programs_take(&key.public(), &forged);
    let mut signature = signed(&key);
    signature["sig"] = json!(STANDARD.encode(forged));
    refused(&key, &signature, "the signature is not by key");
}

/// Without this the test above would also pass for a forgery that is none.
fn lax_programs_take(key: &PublicKey, forged: &[u8; 64]) {
    use ed25519_dalek::{Signature, Verifier, VerifyingKey};
    let lax = VerifyingKey::from_bytes(key.as_bytes()).expect("a key");
    lax.verify(&digests(&files()).message(), &Signature::from_bytes(forged)).expect("it fulfils the equation");
}
