//! The signed manifest of file hashes (protocol, section 8.2): parse, verify, compare.
//!
//! Entry points, in the order a check needs them: [`SignedSet::verify`] turns four untrusted texts into a
//! [`Baseline`], and [`compare`] and [`compare_listing`] tell how what was seen differs from it.
//! [`Notice`] is the signed word that a change is meant.
//! This crate opens no file, asks no clock and knows no other crate of the hub: what it needs is passed in.

#![warn(missing_docs)]

mod attributes;
mod baseline;
mod compare;
mod digest;
mod keys;
mod manifest;
mod notice;
mod path;
mod unique;

pub use attributes::{Attributes, AttributesError, Entry, Kind};
pub use baseline::{Baseline, SetError, SignedSet, Unsigned};
pub use compare::{
    Difference, Seen, SeenKind, Violation, compare, compare_listing, missing, tampered, unexpected, unreadable,
};
pub use digest::{Digest, DigestError, Hasher};
pub use keys::{KeyError, SignatureError, SigningKey, VerificationKey};
pub use manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestError};
pub use notice::{MAX_NOTICE_SECS, Moment, Notice, NoticeError, NoticeKind};
pub use path::{PathError, WatchedPath};
