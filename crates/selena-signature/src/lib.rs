//! Signatures of packages, and the keys of their publishers (protocol, section 3, "Signature").
//!
//! Entry points: [`PackageSignature`], what `SIGNATURE.json` says; [`PublicKey`] and [`PrivateKey`]; [`KeyRotation`], by
//! which a publisher goes on with another key. The format is described in `selena-package`'s README for those who
//! write a packer in another language.
//!
//! Hub and command line share this crate, so that what one signs the other takes. It knows nothing of IO, of ZIPs, of
//! the hub's list of publishers, and of what may be installed. Modules' SDK does not carry it.

mod digests;
mod key_id;
mod package;
mod private_key;
mod public_key;
mod rotation;

pub use digests::{FileDigests, FileVerdict, Sha256Digest};
pub use key_id::{KeyId, KeyIdError};
pub use package::{PackageSignature, SignatureError};
pub use private_key::{PrivateKey, PrivateKeyError};
pub use public_key::{PublicKey, PublicKeyError};
pub use rotation::{KeyRotation, RotationError};

use base64::{Engine, engine::general_purpose::STANDARD};

/// The bytes of standard base64 with padding; nothing else, so that bytes have one text only.
fn from_base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of lower-case hex; nothing else, so that bytes have one text only.
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}
