//! What a backup says of itself: the first part of its archive.

use std::collections::BTreeSet;

use jiff::Timestamp;
use selena_types::ModuleName;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{BackupError, FORMAT};

/// Most modules: more than a hub has ports.
const MOST_MODULES: usize = 1000;

/// What was backed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The whole hub.
    Hub,
    /// One module.
    Module(ModuleName),
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The form of the archive.
    pub format: u32,
    /// What was backed up.
    pub scope: Scope,
    /// Version of the hub that made it.
    pub hub_version: Version,
    /// When it was begun.
    pub created_at: Timestamp,
    /// Architecture of that hub, as Rust names it: `x86_64`, `aarch64`.
    pub architecture: String,
    /// The modules, by name.
    pub modules: Vec<IndexedModule>,
}

/// One module of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedModule {
    /// Its name.
    pub name: ModuleName,
    /// Its version.
    pub version: Version,
    /// Its data volume, if it had one.
    pub data: Option<VolumeSize>,
    /// The version before, if one is kept.
    pub previous: Option<Version>,
    /// The data volume of the version before.
    pub previous_data: Option<VolumeSize>,
}

/// Size of a data volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSize {
    /// In MiB.
    pub mib: u32,
}

/// What every form has, whatever else is in it.
#[derive(Deserialize)]
struct AnyForm {
    format: u32,
}

impl Index {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, BackupError> {
        let malformed = |error: serde_json::Error| BackupError::Malformed(format!("its backup.json: {error}"));
        let AnyForm { format } = serde_json::from_slice(text).map_err(malformed)?;
        if format != FORMAT {
            return Err(BackupError::Newer(format));
        }
        let index: Self = serde_json::from_slice(text).map_err(malformed)?;
        let names: BTreeSet<_> = index.modules.iter().map(|module| &module.name).collect();
        if index.modules.len() > MOST_MODULES || names.len() != index.modules.len() {
            return Err(BackupError::Malformed("its list of modules has too many, or one twice".to_owned()));
        }
        match &index.scope {
            Scope::Module(name) if index.modules.len() != 1 || index.modules[0].name != *name => {
                Err(BackupError::Malformed("a backup of one module holds that one".to_owned()))
            }
            _ => Ok(index),
        }
    }
}
