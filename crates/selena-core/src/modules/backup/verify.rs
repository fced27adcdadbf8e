//! What a backup may hold: nothing that an install would refuse, and nothing that does not fit together.

use selena_backup::{Index, Scope};
use selena_signature::{FileDigests, KeyId, PackageSignature, PublicKey};
use selena_types::{Manifest, Runtime};

use super::{
    super::install::supported, ARCHITECTURE, intake::IntakeMode, invalid, refuse, stage::Stage,
    staged_database::StagedDatabase,
};
use crate::{
    ApiError, ModuleRecord,
    ports::{MODULE_UIDS, UnpackedPackage},
};

impl Stage {
    /// Whether the backup may be restored here at all.
    pub(super) fn check_index(&self, index: &Index) -> Result<(), ApiError> {
        if self.mode != (IntakeMode::Restore { replace: false }) {
            return Ok(());
        }
        let there = match &index.scope {
            Scope::Hub => !self.modules.records().is_empty(),
            Scope::Module(name) => self.modules.slot(name).is_ok(),
        };
        if !there {
            return Ok(());
        }
        let detail = match &index.scope {
            Scope::Hub => "this hub has modules: a backup of a whole hub takes the place of all there is, so say so \
                           (--replace), or remove them first"
                .to_owned(),
            Scope::Module(name) => {
                format!("`{name}` is installed: the backup takes its place, with its data, so say so (--replace)")
            }
        };
        Err(ApiError::Conflict { code: "backup_replace", detail })
    }

    /// Whether the rows of the modules are such as this hub makes, or are told what they lack here.
    pub(super) fn check_records(&mut self, index: &Index, database: &mut StagedDatabase) -> Result<(), ApiError> {
        for (name, record) in &mut database.records {
            if !MODULE_UIDS.contains(&record.uid) {
                return Err(invalid(format!("`{name}` would run as user {}", record.uid)));
            }
            let indexed = index.modules.iter().find(|module| module.name == *name);
            let previous = record.previous.as_ref().map(|previous| &previous.version);
            // The database may tell of a version before whose files were gone.
            if indexed.and_then(|module| module.previous.as_ref()).is_some_and(|version| previous != Some(version)) {
                return Err(invalid(format!("the version before of `{name}` is another one in its list")));
            }
            if indexed.is_none_or(|module| module.previous.is_none()) {
                record.previous = None;
            }
            match self.modules.manifest(record) {
                Ok(manifest) => self.check_manifest(index, record, &manifest)?,
                Err(error) => self.note(name, format!("it cannot run here: {error}")),
            }
        }
        if let (Scope::Module(name), IntakeMode::Restore { .. }) = (&index.scope, self.mode)
            && let Some(record) = database.records.get_mut(name)
        {
            self.claim = Some(self.modules.claim_restored(record)?);
        }
        Ok(())
    }

    fn check_manifest(&mut self, index: &Index, record: &ModuleRecord, manifest: &Manifest) -> Result<(), ApiError> {
        let name = &record.name;
        let is_its = manifest.name == *name
            && manifest.version == record.version
            && manifest.module_type == record.module_type
            && manifest.runtime_mode == record.runtime_mode
            && manifest.port == record.port;
        if !is_its {
            return Err(invalid(format!("the manifest of `{name}` does not fit what the database says of it")));
        }
        let runtime = manifest.runtime_with(record.has_main_py);
        if index.architecture != ARCHITECTURE && runtime != Runtime::Python3 {
            let made = &index.architecture;
            let detail = format!("`{name}` is a program for {made}, and this hub is {ARCHITECTURE}");
            return Err(refuse("backup_architecture", detail));
        }
        let there = self.modules.plugged_in();
        for device in manifest.devices.iter().filter(|device| there.get(device.as_str()).is_none()) {
            self.note(name, format!("its device {device} is not here: it runs without it until it is"));
        }
        Ok(())
    }

    /// Whether a package is the one that the database tells of, by the one who signed it.
    pub(super) fn verify_package(
        &self,
        record: &ModuleRecord,
        previous: bool,
        unpacked: &UnpackedPackage,
    ) -> Result<(), ApiError> {
        let name = &record.name;
        let mismatch = || invalid(format!("the package of `{name}` is not the one that its database tells of"));
        let (text, has_main_py, signed_by) = match (&record.previous, previous) {
            (_, false) => (&record.manifest, record.has_main_py, &record.signed_by),
            (Some(previous), true) => (&previous.manifest, previous.has_main_py, &previous.signed_by),
            (None, true) => return Err(mismatch()),
        };
        if unpacked.manifest != text.as_bytes() || unpacked.files.contains_key("main.py") != has_main_py {
            return Err(mismatch());
        }
        let config = &self.modules.parts.config.limits;
        if let Ok(parsed) = Manifest::parse(text.as_bytes(), &self.modules.parts.api.info().version, config) {
            supported(&parsed.manifest, has_main_py, |file| unpacked.files.contains_key(file))?;
        }
        let signature = unpacked.signature.as_deref().map(PackageSignature::parse).transpose();
        let signature = signature.map_err(|error| refuse("manifest_signature", error.to_string()))?;
        if signature.as_ref().map(PackageSignature::key_id) != signed_by.as_ref() {
            return Err(mismatch());
        }
        let Some(signature) = signature else { return Ok(()) };
        let key = self.publisher_key(signature.key_id())?;
        let verified = signature.verify(&key, &FileDigests::new(unpacked.files.clone()));
        verified.map_err(|error| refuse("manifest_signature", error.to_string()))
    }

    /// Of a whole hub its own publishers count, also those that were revoked later: their modules run on. One module
    /// comes to a hub that decides for itself whom it believes.
    fn publisher_key(&self, id: &KeyId) -> Result<PublicKey, ApiError> {
        if self.claim.is_some() || self.is_of_one_module() {
            return self.modules.publishers().for_package(id);
        }
        let keys = self.database.iter().flat_map(|database| &database.publishers);
        let key = keys.map(|known| &known.key).find(|key| key.id() == *id).cloned();
        key.ok_or_else(|| invalid(format!("a package is signed with key {id}, which its database does not have")))
    }
}
