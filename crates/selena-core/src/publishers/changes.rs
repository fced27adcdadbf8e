//! What people do to publishers' keys; each change leaves an audit record.

use jiff::Timestamp;
use selena_signature::{KeyId, KeyRotation, PublicKey, RotationError};
use selena_types::{Problems, TrustLevel, fields::Object};
use serde_json::Value;

use super::{PublisherKey, PublisherName, Publishers, Revocation};
use crate::ApiError;

/// Most keys: all are kept in memory.
const MAX_KEYS: usize = 1000;
/// Most characters of a reason.
const MAX_REASON_CHARS: usize = 500;

/// `{"name","public_key","trust"?,"replaces"?}`.
struct NewKey {
    publisher: PublisherName,
    key: PublicKey,
    trust: TrustLevel,
    replaces: Option<KeyId>,
}

impl Publishers {
    /// Adds a key: `{"name","public_key","trust"?,"replaces"?}`; `BASIC` if no trust is named. `replaces` names a key of
    /// the same publisher, also a revoked one, whose modules the new key may update.
    ///
    /// # Errors
    /// [`ApiError::Invalid`]; 409 `publisher_known` if the key is there already, also revoked; 409 `limit_publishers`.
    pub async fn add(&self, body: &Value, who: &str) -> Result<PublisherKey, ApiError> {
        let new = NewKey::parse(body)?;
        let _changing = self.changing.lock().await;
        if let Some(old) = &new.replaces {
            let old = self.get(old)?;
            if old.publisher != new.publisher {
                let msg = format!("must be `{}`, as that of the key it replaces", old.publisher);
                return Err(Problems::one(["body".into(), "name".into()], "publisher_name", msg).into());
            }
            self.refuse_second_successor(&old.key.id())?;
        }
        let NewKey { publisher, key, trust, replaces } = new;
        let key = PublisherKey { key, publisher, trust, added_at: Timestamp::now(), replaces, revoked: None };
        self.add_new("publisher_added", key, who).await
    }

    /// Sets how far a key is trusted: `{"trust"}`.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], [`ApiError::Invalid`]; 409 `publisher_revoked`.
    pub async fn set_trust(&self, id: &KeyId, body: &Value, who: &str) -> Result<PublisherKey, ApiError> {
        let mut problems = Problems::default();
        let trust = Object::body(body, &mut problems).word("trust", TrustLevel::ALL, TrustLevel::as_str);
        let trust = trust.ok_or(problems)?;
        let _changing = self.changing.lock().await;
        let key = self.get(id)?;
        refuse_revoked(&key, "it cannot be trusted again")?;
        let key = self.put(PublisherKey { trust, ..key }, Vec::new()).await?;
        self.audit("publisher_trust_set", &key, who);
        Ok(key)
    }

    /// Revokes a key for ever: `{"reason"}`. `about` gives what `module.error` tells of it.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], [`ApiError::Invalid`]; 409 `publisher_revoked` if it is already.
    pub(crate) async fn revoke(
        &self,
        id: &KeyId,
        body: &Value,
        who: &str,
        about: impl FnOnce(&PublisherKey) -> Vec<Value>,
    ) -> Result<PublisherKey, ApiError> {
        let mut problems = Problems::default();
        let reason = Object::body(body, &mut problems).text("reason", 1..=MAX_REASON_CHARS);
        let reason = reason.ok_or(problems)?;
        let _changing = self.changing.lock().await;
        let key = self.get(id)?;
        refuse_revoked(&key, "once is enough")?;
        let revoked = Some(Revocation { at: Timestamp::now(), reason });
        let told = about(&key);
        let key = self.put(PublisherKey { revoked, trust: TrustLevel::Untrusted, ..key }, told).await?;
        self.audit("publisher_revoked", &key, who);
        Ok(key)
    }

    /// Adds the key that takes another one's place by a statement of that one's owner; it is trusted as that one is.
    ///
    /// # Errors
    /// [`ApiError::Invalid`], also if the statement is not signed with the old key; [`ApiError::NotFound`] if that is
    /// unknown; 409 `publisher_revoked` if it is revoked, `publisher_rotated` if another key took its place already, and
    /// as [`Publishers::add`].
    pub async fn rotate(&self, body: &Value, who: &str) -> Result<PublisherKey, ApiError> {
        let statement = KeyRotation::from_value(body).map_err(|error| invalid(&error))?;
        let _changing = self.changing.lock().await;
        let old = self.get(&statement.old_key_id)?;
        let advice = "what it signs counts no more; a person adds the new key (selenactl publisher add --replaces)";
        refuse_revoked(&old, advice)?;
        statement.verify(&old.key).map_err(|error| invalid(&error))?;
        self.refuse_second_successor(&statement.old_key_id)?;
        let (added_at, replaces) = (Timestamp::now(), Some(statement.old_key_id));
        let key = PublisherKey { key: statement.new_key, added_at, replaces, ..old };
        self.add_new("publisher_rotated", key, who).await
    }

    async fn add_new(&self, event: &str, key: PublisherKey, who: &str) -> Result<PublisherKey, ApiError> {
        if let Ok(known) = self.get(&key.key.id()) {
            let (id, name) = (known.key.id(), &known.publisher);
            let revoked = if known.revoked.is_some() { ", and revoked for ever" } else { "" };
            let detail = format!("key {id} is known already as one of `{name}`{revoked}");
            return Err(ApiError::Conflict { code: "publisher_known", detail });
        }
        if self.keys.lock().expect("nothing panics while it holds the keys").len() >= MAX_KEYS {
            let detail = format!("a hub knows at most {MAX_KEYS} keys of publishers");
            return Err(ApiError::limit("limit_publishers", detail));
        }
        let key = self.put(key, Vec::new()).await?;
        self.audit(event, &key, who);
        Ok(key)
    }

    /// Of two keys that want the place of one, at most one is its owner's. One that was revoked has left the place.
    fn refuse_second_successor(&self, old: &KeyId) -> Result<(), ApiError> {
        match self.keys().into_iter().find(|key| key.replaces.as_ref() == Some(old) && key.revoked.is_none()) {
            Some(successor) => {
                let detail = format!("key {} has taken the place of {old} already", successor.key.id());
                Err(ApiError::Conflict { code: "publisher_rotated", detail })
            }
            None => Ok(()),
        }
    }

    fn audit(&self, event: &str, key: &PublisherKey, who: &str) {
        let mut detail = format!("{} {} {}", key.publisher, key.key.id(), key.trust);
        if let Some(replaces) = &key.replaces {
            detail.push_str(&format!(" in the place of {replaces}"));
        }
        if let Some(revocation) = &key.revoked {
            detail.push_str(&format!(": {}", revocation.reason));
        }
        self.api.record(event, who, &detail);
    }
}

impl NewKey {
    fn parse(body: &Value) -> Result<Self, ApiError> {
        let mut problems = Problems::default();
        let mut object = Object::body(body, &mut problems);
        let publisher = object.parsed("name", "publisher_name", str::parse);
        let key = object.parsed("public_key", "publisher_key", str::parse);
        let trust = match object.get("trust") {
            Some(_) => object.word("trust", TrustLevel::ALL, TrustLevel::as_str),
            None => Some(TrustLevel::Basic),
        };
        let replaces = match object.get("replaces") {
            Some(_) => object.parsed("replaces", "publisher_key_id", str::parse).map(Some),
            None => Some(None),
        };
        match (publisher, key, trust, replaces) {
            (Some(publisher), Some(key), Some(trust), Some(replaces)) => Ok(Self { publisher, key, trust, replaces }),
            _ => Err(problems.into()),
        }
    }
}

fn refuse_revoked(key: &PublisherKey, advice: &str) -> Result<(), ApiError> {
    match &key.revoked {
        Some(revocation) => {
            let (id, reason) = (key.key.id(), revocation.reason.escape_debug());
            let detail = format!("key {id} was revoked ({reason}): {advice}");
            Err(ApiError::Conflict { code: "publisher_revoked", detail })
        }
        None => Ok(()),
    }
}

fn invalid(error: &RotationError) -> ApiError {
    Problems::one(["body".into()], "publisher_rotation", error.to_string()).into()
}
