//! How a publisher goes on with another key.

use selena_types::json;
use serde_json::{Value, json};

use crate::{KeyId, KeyIdError, PrivateKey, PublicKey, PublicKeyError, from_base64, to_base64};

/// A statement by the owner of a key that another key takes its place:
/// `{"publisher","old_key_id","new_public_key","sig"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotation {
    /// What the publisher calls itself: for people, and not part of what is signed.
    pub publisher: String,
    /// The key that signed the statement.
    pub old_key_id: KeyId,
    /// The key that takes its place.
    pub new_key: PublicKey,
    signature: [u8; 64],
}

/// Why a statement is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// It has another form.
    #[error("a rotation statement is a JSON object with the texts publisher, old_key_id, new_public_key, sig: {0}")]
    Malformed(String),
    /// `old_key_id` is none.
    #[error("old_key_id: {0}")]
    KeyId(#[from] KeyIdError),
    /// `new_public_key` is none.
    #[error("new_public_key: {0}")]
    NewKey(#[from] PublicKeyError),
    /// Both keys are the same.
    #[error("the new key is the old one")]
    SameKey,
    /// The owner of the old key did not sign it.
    #[error("the statement is not signed with the key {0} that it says it is")]
    Signature(KeyId),
}

impl KeyRotation {
    const FIELDS: [&str; 4] = ["publisher", "old_key_id", "new_public_key", "sig"];

    /// A statement by the owner of the old key.
    ///
    /// # Errors
    /// [`RotationError::SameKey`].
    pub fn sign(publisher: &str, old: &PrivateKey, new_key: PublicKey) -> Result<Self, RotationError> {
        let old_key_id = old.public().id();
        if new_key.id() == old_key_id {
            return Err(RotationError::SameKey);
        }
        let signature = old.sign(&message(&old_key_id, &new_key));
        Ok(Self { publisher: publisher.to_owned(), old_key_id, new_key, signature })
    }

    /// Reads a statement of a file.
    ///
    /// # Errors
    /// [`RotationError`]; whether it is signed [`KeyRotation::verify`] tells.
    pub fn parse(text: &[u8]) -> Result<Self, RotationError> {
        let value = json::parse_unambiguous(text).map_err(|error| RotationError::Malformed(error.to_string()))?;
        Self::from_value(&value)
    }

    /// Reads a statement.
    ///
    /// # Errors
    /// As [`KeyRotation::parse`].
    pub fn from_value(value: &Value) -> Result<Self, RotationError> {
        let malformed = |what: String| RotationError::Malformed(what);
        let object = value.as_object().ok_or_else(|| malformed("this is no object".to_owned()))?;
        if let Some(unknown) = object.keys().find(|key| !Self::FIELDS.contains(&key.as_str())) {
            return Err(malformed(format!("`{}` is none of them", unknown.escape_debug())));
        }
        let text = |field: &str| value[field].as_str().ok_or_else(|| malformed(format!("`{field}` is no text")));
        let old_key_id: KeyId = text("old_key_id")?.parse()?;
        let new_key = PublicKey::from_base64(text("new_public_key")?)?;
        let signature =
            from_base64(text("sig")?).ok_or_else(|| malformed("`sig` is no base64 of 64 bytes".to_owned()))?;
        if new_key.id() == old_key_id {
            return Err(RotationError::SameKey);
        }
        Ok(Self { publisher: text("publisher")?.to_owned(), old_key_id, new_key, signature })
    }

    /// Checks that the owner of the old key signed it.
    ///
    /// # Errors
    /// [`RotationError::Signature`].
    pub fn verify(&self, old: &PublicKey) -> Result<(), RotationError> {
        let by_owner =
            old.id() == self.old_key_id && old.has_signed(&message(&self.old_key_id, &self.new_key), &self.signature);
        if by_owner { Ok(()) } else { Err(RotationError::Signature(self.old_key_id.clone())) }
    }

    /// The statement as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({
            "publisher": self.publisher,
            "old_key_id": self.old_key_id,
            "new_public_key": self.new_key.to_base64(),
            "sig": to_base64(&self.signature),
        })
    }
}

/// What is signed: a first line that names its kind, and a line for each key.
fn message(old: &KeyId, new: &PublicKey) -> Vec<u8> {
    format!("selena-publisher-rotation-v1\n{old}\n{}\n", new.to_base64()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> (PrivateKey, KeyRotation) {
        let (old, new) = (PrivateKey::generate().expect("a key"), PrivateKey::generate().expect("a key"));
        let rotation = KeyRotation::sign("Lamps & Co", &old, new.public()).expect("two keys");
        (old, rotation)
    }

    #[test]
    fn a_statement_is_read_back_and_is_its_owners_only() {
        let (old, rotation) = statement();
        let read = KeyRotation::parse(rotation.to_value().to_string().as_bytes()).expect("it is one");
        assert_eq!(read, rotation);
        assert_eq!(read.verify(&old.public()), Ok(()));
        let (stranger, _) = statement();
        assert!(matches!(read.verify(&stranger.public()), Err(RotationError::Signature(_))));
    }

    #[test]
    fn a_statement_that_was_changed_is_refused() {
        let (old, rotation) = statement();
        let (_, other) = statement();
        for (field, value) in
            [("new_public_key", other.to_value()["new_public_key"].clone()), ("sig", other.to_value()["sig"].clone())]
        {
            let mut changed = rotation.to_value();
            changed[field] = value;
            let read = KeyRotation::from_value(&changed).expect("its form is right");
            assert!(read.verify(&old.public()).is_err(), "{field}");
        }
        let mut stolen = other.to_value();
        stolen["old_key_id"] = json!(old.public().id());
        assert!(KeyRotation::from_value(&stolen).expect("a form").verify(&old.public()).is_err());
    }

    #[test]
    fn what_is_no_statement_is_refused() {
        let (old, rotation) = statement();
        let with = |field: &str, value: Value| {
            let mut changed = rotation.to_value();
            changed[field] = value;
            changed
        };
        for bad in [
            json!([]),
            json!({}),
            with("odd", json!(1)),
            with("publisher", json!(1)),
            with("sig", json!("AAAA")),
            with("sig", json!(rotation.to_value()["sig"].as_str().expect("a text").trim_end_matches('='))),
            with("old_key_id", json!(rotation.old_key_id.as_str().to_uppercase())),
            with("new_public_key", json!(format!("{}\n", rotation.new_key.to_base64()))),
            with("new_public_key", json!(rotation.new_key.to_pem())),
            with("new_public_key", json!(old.public().to_base64())),
        ] {
            assert!(KeyRotation::from_value(&bad).is_err(), "{bad}");
        }
        assert_eq!(KeyRotation::sign("x", &old, old.public()), Err(RotationError::SameKey));
        let twice = rotation.to_value().to_string().replacen('{', "{\"sig\":\"\",", 1);
        assert!(matches!(KeyRotation::parse(twice.as_bytes()), Err(RotationError::Malformed(_))));
    }
}
