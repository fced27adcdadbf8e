//! Publishers: whose signatures this hub takes (protocol, section 3, "Signature").
//!
//! People decide: they add keys, trust, revoke and replace them. All is kept in memory too, so that a package is checked
//! without a network and without waiting. Nothing is ever deleted, so that a module's signer is always known.

mod changes;
mod name;
mod record;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use selena_signature::{KeyId, PublicKey};
use selena_types::TrustLevel;
use serde_json::{Value, json};

use crate::{
    Api, ApiError,
    api::append,
    transact::{read, write},
};

pub use name::{PublisherName, PublisherNameError};
pub use record::{PublisherKey, Revocation};

/// The keys of all publishers.
#[derive(Debug)]
pub struct Publishers {
    api: Arc<Api>,
    keys: Mutex<BTreeMap<KeyId, PublisherKey>>,
    /// Held over looking and writing, so that of two changes each sees the other.
    changing: tokio::sync::Mutex<()>,
}

impl Publishers {
    /// Those of the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn load(api: Arc<Api>) -> Result<Self, ApiError> {
        let keys = read(api.store(), |rows| rows.publisher_keys()).await?;
        let keys = keys.into_iter().map(|key| (key.key.id(), key)).collect();
        Ok(Self { api, keys: Mutex::new(keys), changing: tokio::sync::Mutex::default() })
    }

    /// Every key, by id.
    #[must_use]
    pub fn keys(&self) -> Vec<PublisherKey> {
        self.keys.lock().expect("nothing panics while it holds the keys").values().cloned().collect()
    }

    /// One key.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn get(&self, id: &KeyId) -> Result<PublisherKey, ApiError> {
        self.find(id).ok_or(ApiError::NotFound("publisher's key"))
    }

    /// The key that a package's signature is checked with.
    ///
    /// # Errors
    /// 422 `manifest_signature` if it is unknown or revoked.
    pub fn for_package(&self, id: &KeyId) -> Result<PublicKey, ApiError> {
        let refuse = |detail| Err(ApiError::Unprocessable { code: "manifest_signature".to_owned(), detail });
        match self.find(id) {
            None => refuse(format!(
                "unknown publisher key {id}: if you trust whoever signed this package, add the publisher's key first \
                 (selenactl publisher add NAME KEY)"
            )),
            Some(PublisherKey { revoked: Some(revocation), publisher, .. }) => refuse(format!(
                "the key {id} of publisher `{publisher}` was revoked ({}): get a package that is signed with another key",
                revocation.reason.escape_debug()
            )),
            Some(known) => Ok(known.key),
        }
    }

    /// Whether a package of this signer may update a module of that one (protocol, section 2, "Update").
    #[must_use]
    pub fn may_follow(&self, old: Option<&KeyId>, new: Option<&KeyId>) -> bool {
        let (Some(old), Some(new)) = (old, new) else { return old == new };
        let keys = self.keys.lock().expect("nothing panics while it holds the keys");
        // A key that replaces another one is younger, so this comes to an end.
        let mut line = std::iter::successors(Some(new), |id| keys.get(*id)?.replaces.as_ref());
        line.any(|id| id == old)
    }

    /// Who made a module, as `GET /modules/{name}` shows it.
    pub(crate) fn shown(&self, signed_by: Option<&KeyId>) -> Value {
        let key = signed_by.and_then(|id| self.find(id));
        json!({
            "signed": signed_by.is_some(),
            "name": key.as_ref().map(|key| &key.publisher),
            "key_id": signed_by,
            "trust": key.as_ref().map_or(TrustLevel::Untrusted, |key| key.trust),
            "revoked": key.is_some_and(|key| key.revoked.is_some()),
        })
    }

    fn find(&self, id: &KeyId) -> Option<PublisherKey> {
        self.keys.lock().expect("nothing panics while it holds the keys").get(id).cloned()
    }

    /// Stores a key as it is now, with what `module.error` is to tell about it.
    async fn put(&self, key: PublisherKey, told: Vec<Value>) -> Result<PublisherKey, ApiError> {
        let stored = key.clone();
        write(self.api.store(), move |tx| {
            tx.put_publisher_key(&stored)?;
            told.into_iter().try_for_each(|payload| append(tx, "module.error", "core", payload).map(|_| ()))
        })
        .await?;
        self.keys.lock().expect("nothing panics while it holds the keys").insert(key.key.id(), key.clone());
        Ok(key)
    }
}
