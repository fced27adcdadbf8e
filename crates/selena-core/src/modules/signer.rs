//! Who made a package, and whose updates a module takes (protocol, sections 2 and 3).

use selena_signature::{FileDigests, KeyId, PackageSignature, PublicKey, SignatureError};
use selena_types::{ModuleState, ModuleType};
use serde_json::{Value, json};

use super::{ModuleRecord, Modules, about};
use crate::{
    ApiError,
    ports::UnpackedPackage,
    publishers::{PublisherKey, Publishers},
};

/// Said of what nobody signed, for ever and wherever people are told of it.
const UNSIGNED: &str = "UNSIGNED: nobody vouches for where it comes from";

/// What people are told of a package, which says so if nobody signed it.
pub(super) fn with_signer(text: &str, signed_by: Option<&KeyId>) -> String {
    if signed_by.is_some() { text.to_owned() } else { format!("{text}; {UNSIGNED}") }
}

/// Who made a package, for the audit log.
pub(super) fn signer_of_record(signed_by: Option<&KeyId>) -> String {
    signed_by.map_or_else(|| "UNSIGNED".to_owned(), |key| format!("signed with key {key}"))
}

impl Modules {
    /// The publishers this hub knows.
    #[must_use]
    pub fn publishers(&self) -> &Publishers {
        &self.publishers
    }

    /// Who made what a key signed, as `GET /modules/{name}` shows it: `{"signed","name","key_id","trust","revoked"}`.
    #[must_use]
    pub fn publisher(&self, signed_by: Option<&KeyId>) -> Value {
        self.publishers.shown(signed_by)
    }

    /// Every publisher's key with the modules it signed, as `GET /publishers` lists it.
    #[must_use]
    pub fn publisher_list(&self) -> Value {
        let records = self.records();
        let with_modules = |key: &PublisherKey| {
            let (mut details, id) = (key.details(), key.key.id());
            let signed: Vec<_> = signed_by(&records, &id).map(|record| &record.name).collect();
            details["modules"] = json!(signed);
            details
        };
        json!({ "publishers": self.publishers.keys().iter().map(with_modules).collect::<Vec<_>>() })
    }

    /// Revokes a key. Modules it signed go on, and say so: `module.error` tells of each.
    ///
    /// # Errors
    /// [`ApiError::NotFound`], [`ApiError::Invalid`]; 409 `publisher_revoked` if it is revoked already.
    pub async fn revoke_publisher(&self, id: &KeyId, body: &Value, who: &str) -> Result<Value, ApiError> {
        let records = self.records();
        let signed = || signed_by(&records, id);
        let about_each = |key: &PublisherKey| {
            let reason = format!("the key {id} of its publisher `{}` was revoked", key.publisher);
            signed().map(|record| about(record, Some(&reason))).collect::<Vec<_>>()
        };
        let revoked = self.publishers.revoke(id, body, who, about_each).await?;
        let names: Vec<_> = signed().map(|record| &record.name).collect();
        for module in &names {
            tracing::warn!(%module, key_id = %id, "the key of its publisher was revoked; it runs on");
        }
        let mut details = revoked.details();
        details["modules"] = json!(names);
        Ok(details)
    }

    /// Checks the signature of an unpacked package; gives the key that made it, or `None` if nobody signed it.
    pub(super) fn signer(
        &self,
        unpacked: &UnpackedPackage,
        module_type: ModuleType,
    ) -> Result<Option<KeyId>, ApiError> {
        let signature = unpacked.signature.as_deref().map(PackageSignature::parse).transpose().map_err(refused)?;
        let key = match (&signature, module_type) {
            (signature, ModuleType::System) => self.vendor_key(signature.as_ref())?,
            (Some(signature), _) => self.publishers.for_package(signature.key_id())?,
            (None, _) => return Ok(None),
        };
        let Some(signature) = signature else { return Ok(None) };
        signature.verify(&key, &FileDigests::new(unpacked.files.clone())).map_err(refused)?;
        Ok(Some(signature.key_id().clone()))
    }

    fn vendor_key(&self, signature: Option<&PackageSignature>) -> Result<PublicKey, ApiError> {
        let vendor = self.parts.config.vendor_key.as_ref();
        let by_vendor = vendor.filter(|key| signature.is_some_and(|signature| *signature.key_id() == key.id()));
        by_vendor.cloned().ok_or_else(|| ApiError::Unprocessable {
            code: "manifest_signature".to_owned(),
            detail: "type SYSTEM is for parts of the hub itself: it needs the hub vendor's signature".to_owned(),
        })
    }

    /// Checks again, later, that the key of a package that waited still counts.
    pub(super) fn check_still_counts(
        &self,
        signed_by: Option<&KeyId>,
        module_type: ModuleType,
    ) -> Result<(), ApiError> {
        match signed_by {
            Some(id) if module_type != ModuleType::System => self.publishers.for_package(id).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Refuses an update by another publisher than the one whose module it is (M04).
    pub(super) fn check_publisher(&self, existing: Option<&ModuleRecord>, new: Option<&KeyId>) -> Result<(), ApiError> {
        let Some(old) = existing.filter(|old| is_somebodys(old.state)) else { return Ok(()) };
        if self.publishers.may_follow(old.signed_by.as_ref(), new) {
            return Ok(());
        }
        let (name, old) = (&old.name, old.signed_by.as_ref());
        let detail = match (old, new) {
            (Some(old), Some(new)) => format!(
                "`{name}` is signed with key {old}, this package with {new}, which has not taken its place: if it is the \
                 same publisher's, send its rotation statement first (selenactl publisher rotate), or remove the module"
            ),
            (Some(old), None) => format!(
                "`{name}` is signed with key {old}, and this package by nobody: get a signed one, or remove the module first"
            ),
            (None, _) => format!(
                "`{name}` is installed unsigned, and only unsigned packages may update it: remove it first, with its data"
            ),
        };
        Err(ApiError::Conflict { code: "manifest_conflict", detail })
    }
}

/// Whether a module was taken for somebody's: not one that never got consent, and not one that goes.
fn is_somebodys(state: ModuleState) -> bool {
    !matches!(state, ModuleState::AwaitingConsent | ModuleState::Removed | ModuleState::Validating)
}

fn signed_by<'a>(records: &'a [ModuleRecord], id: &'a KeyId) -> impl Iterator<Item = &'a ModuleRecord> {
    records.iter().filter(move |record| record.signed_by.as_ref() == Some(id))
}

fn refused(error: SignatureError) -> ApiError {
    ApiError::Unprocessable { code: "manifest_signature".to_owned(), detail: error.to_string() }
}
