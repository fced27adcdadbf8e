//! What installs under way have taken: names, user ids and ports, so that two of them never take the same.

use std::{collections::BTreeMap, sync::Arc};

use selena_types::{Manifest, ModuleName, ModulePort, ModuleState};

use super::{ModuleRecord, Modules, slot::Slot};
use crate::ApiError;

/// First user id of modules; each module has one of its own.
const FIRST_UID: u32 = 400_000;

/// What one install has taken.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    uid: u32,
    port: Option<ModulePort>,
    devices: Vec<String>,
}

/// The installs under way.
pub(super) type Claims = BTreeMap<ModuleName, Taken>;

/// An install's claim; freed when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    modules: Arc<Modules>,
    pub(super) name: ModuleName,
    pub(super) uid: u32,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.modules.claims.lock().expect("nothing panics while it holds the claims").remove(&self.name);
    }
}

impl Modules {
    /// Takes what a package needs, if it goes with what is installed and being installed.
    pub(super) fn claim(self: &Arc<Self>, manifest: &Manifest) -> Result<(Claim, Option<Arc<Slot>>), ApiError> {
        let name = manifest.name.clone();
        let mut claims = self.claims.lock().expect("nothing panics while it holds the claims");
        if claims.contains_key(&name) {
            let detail = format!("`{name}` is being installed already: wait for it to end");
            return Err(ApiError::Conflict { code: "install_in_progress", detail });
        }
        let existing = self.slot(&name).ok();
        let records = self.records();
        check_against(&records, existing.as_ref().map(|slot| slot.record()).as_ref(), manifest)?;
        let port = manifest.port;
        let port_taken = records.iter().any(|other| port.is_some() && other.port == port && other.name != name)
            || claims.values().any(|taken| port.is_some() && taken.port == port)
            || self
                .all_slots()
                .iter()
                .any(|slot| port.is_some() && slot.waiting_port() == port && slot.record().name != name);
        if port_taken {
            let detail = format!("another module has port {} already", port.map(ModulePort::get).unwrap_or_default());
            return Err(ApiError::Conflict { code: "port_taken", detail });
        }
        let under_way = claims.iter().flat_map(|(other, taken)| taken.devices.iter().map(move |path| (other, path)));
        self.check_devices(&name, &manifest.devices, under_way)?;
        let used = |uid: &u32| {
            records.iter().any(|record| record.uid == *uid) || claims.values().any(|taken| taken.uid == *uid)
        };
        let free = (FIRST_UID..).find(|uid| !used(uid)).expect("there are fewer modules than numbers");
        let uid = existing.as_ref().map_or(free, |slot| slot.record().uid);
        claims.insert(name.clone(), Taken { uid, port, devices: manifest.devices.clone() });
        Ok((Claim { modules: self.clone(), name, uid }, existing))
    }

    /// Whether a package of this name is being installed.
    pub(super) fn is_claimed(&self, name: &ModuleName) -> bool {
        self.claims.lock().expect("nothing panics while it holds the claims").contains_key(name)
    }
}

pub(super) fn check_against(
    records: &[ModuleRecord],
    existing: Option<&ModuleRecord>,
    manifest: &Manifest,
) -> Result<(), ApiError> {
    let conflict = |code, detail| Err(ApiError::Conflict { code, detail });
    match existing {
        Some(old) if matches!(old.state, ModuleState::Removed | ModuleState::Validating) => {
            return conflict("removal_in_progress", format!("`{}` is being removed: try again in a minute", old.name));
        }
        // One that waits for consent was never granted anything: a later upload replaces it.
        Some(old) if old.state == ModuleState::AwaitingConsent => {}
        Some(old) if old.module_type != manifest.module_type => {
            let detail = format!("`{}` is installed as {}; remove it first", old.name, old.module_type);
            return conflict("manifest_conflict", detail);
        }
        Some(old) if old.version >= manifest.version => {
            let detail = format!("version {} is installed: an update needs a higher one", old.version);
            return conflict("manifest_version", detail);
        }
        _ => {}
    }
    let there = |name: &ModuleName, needed: &semver::VersionReq| {
        records.iter().any(|record| record.name == *name && needed.matches(&record.version))
    };
    if let Some((name, needed)) = manifest.dependencies.iter().find(|(name, needed)| !there(name, needed)) {
        let detail = format!("it needs module `{name}` {needed}: install that first");
        return Err(ApiError::Unprocessable { code: "manifest_dependency".to_owned(), detail });
    }
    Ok(())
}
