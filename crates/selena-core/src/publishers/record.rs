//! What the store keeps of a publisher's key.

use jiff::Timestamp;
use selena_signature::{KeyId, PublicKey};
use selena_types::TrustLevel;
use serde_json::{Value, json};

use super::PublisherName;

/// A publisher's key. A publisher may have several; it is trusted by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherKey {
    /// The key.
    pub key: PublicKey,
    /// Whose it is.
    pub publisher: PublisherName,
    /// How far a person trusts it.
    pub trust: TrustLevel,
    /// When it was added.
    pub added_at: Timestamp,
    /// The key in whose place it came: what that one signed, this one may update.
    pub replaces: Option<KeyId>,
    /// Since when and why it counts no more.
    pub revoked: Option<Revocation>,
}

/// That a key counts no more. It is for ever: what was once in strange hands does not come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When it was revoked.
    pub at: Timestamp,
    /// Why, in the words of the person who did it.
    pub reason: String,
}

impl PublisherKey {
    /// The key as `GET /publishers` lists it.
    #[must_use]
    pub fn details(&self) -> Value {
        json!({
            "key_id": self.key.id(),
            "name": self.publisher,
            "public_key": self.key.to_base64(),
            "trust": self.trust,
            "added_at": self.added_at,
            "replaces": self.replaces,
            "revoked_at": self.revoked.as_ref().map(|revocation| revocation.at),
            "reason": self.revoked.as_ref().map(|revocation| &revocation.reason),
        })
    }
}
