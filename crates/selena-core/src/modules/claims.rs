//! What installs under way have taken: names, user ids and ports, so that two of them never take the same.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use selena_types::{ModuleName, ModulePort, ModuleState};
use semver::Version;

use super::{ModuleRecord, Modules, slot::Slot, staging::Staged};
use crate::{ApiError, ports::MODULE_UIDS};

/// What one install has taken.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    uid: u32,
    port: Option<ModulePort>,
    devices: Vec<String>,
    /// The version that is being tried, as long as it is.
    trying: Option<Version>,
    /// What is shown of a first install until its slot is there.
    first: Option<Box<ModuleRecord>>,
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
    pub(super) fn claim(self: &Arc<Self>, staged: &Staged) -> Result<(Claim, Option<Arc<Slot>>), ApiError> {
        let manifest = &staged.manifest;
        let name = manifest.name.clone();
        let mut claims = self.claims.lock().expect("nothing panics while it holds the claims");
        if claims.contains_key(&name) {
            let detail = format!("`{name}` is being installed already: wait for it to end");
            return Err(ApiError::Conflict { code: "install_in_progress", detail });
        }
        let existing = self.slot(&name).ok();
        let records = self.records();
        let installed = existing.as_ref().map(|slot| slot.record());
        self.check_publisher(installed.as_ref(), staged.signed_by.as_ref())?;
        check_against(installed.as_ref(), staged)?;
        self.check_dependencies(manifest)?;
        let port = manifest.port;
        check_port_in(&claims, &self.all_slots(), &name, port)?;
        let under_way = claims.iter().flat_map(|(other, taken)| taken.devices.iter().map(move |path| (other, path)));
        self.check_devices(&name, &manifest.devices, under_way)?;
        let free = free_uid(&records, &claims);
        let uid = existing.as_ref().map_or(free, |slot| slot.record().uid);
        let first = existing.is_none().then(|| Box::new(staged.record(uid)));
        let (devices, trying) = (manifest.devices.clone(), Some(manifest.version.clone()));
        claims.insert(name.clone(), Taken { uid, port, devices, trying, first });
        Ok((Claim { modules: self.clone(), name, uid }, existing))
    }

    /// Takes for a version that comes back what it needs; refused if another module has that by now, or, unless it
    /// comes back by itself, while a package of its name is being installed.
    pub(super) fn claim_again(
        self: &Arc<Self>,
        version: &ModuleRecord,
        by_itself: bool,
    ) -> Result<Option<Claim>, ApiError> {
        let name = version.name.clone();
        let mut claims = self.claims.lock().expect("nothing panics while it holds the claims");
        let is_installed = claims.contains_key(&name);
        if is_installed && !by_itself {
            let detail = format!("`{name}` is being installed: wait for it to end");
            return Err(ApiError::Conflict { code: "install_in_progress", detail });
        }
        check_port_in(&claims, &self.all_slots(), &name, version.port)?;
        let devices = version.devices();
        let others = claims.iter().filter(|(other, _)| **other != name);
        let under_way = others.flat_map(|(other, taken)| taken.devices.iter().map(move |path| (other, path)));
        self.check_devices(&name, &devices, under_way)?;
        if is_installed {
            return Ok(None);
        }
        claims.insert(name.clone(), Taken { uid: version.uid, port: version.port, devices, trying: None, first: None });
        Ok(Some(Claim { modules: self.clone(), name, uid: version.uid }))
    }

    /// Takes for a module that is restored what it needs, and gives it the user id it has here.
    pub(super) fn claim_restored(self: &Arc<Self>, record: &mut ModuleRecord) -> Result<Claim, ApiError> {
        let installed = self.slot(&record.name).ok().map(|slot| slot.record());
        {
            let claims = self.claims.lock().expect("nothing panics while it holds the claims");
            record.uid = installed.map_or_else(|| free_uid(&self.records(), &claims), |record| record.uid);
        }
        let claim = self.claim_again(record, false)?;
        claim.ok_or(ApiError::NotFound("claim"))
    }

    /// Holds a name, unless an install does, which tidies up behind itself.
    pub(super) fn claim_name(self: &Arc<Self>, name: &ModuleName) -> Option<Claim> {
        let mut claims = self.claims.lock().expect("nothing panics while it holds the claims");
        if claims.contains_key(name) {
            return None;
        }
        // No module has this user id: only the name is held.
        let uid = u32::MAX;
        claims.insert(name.clone(), Taken { uid, port: None, devices: Vec::new(), trying: None, first: None });
        Some(Claim { modules: self.clone(), name: name.clone(), uid })
    }

    /// A first install whose package is being tried: `VALIDATING`. Before its manifest was read, a package has no name to
    /// ask for, so nobody is ever shown `UPLOADED`.
    pub(super) fn first_install(&self, name: &ModuleName) -> Option<ModuleRecord> {
        let claims = self.claims.lock().expect("nothing panics while it holds the claims");
        claims.get(name)?.first.as_deref().cloned()
    }

    /// The version of this name that is being tried.
    pub(super) fn tried_version(&self, name: &ModuleName) -> Option<Version> {
        let claims = self.claims.lock().expect("nothing panics while it holds the claims");
        claims.get(name)?.trying.clone()
    }

    /// The trial of a claimed package is over.
    pub(super) fn end_of_trial(&self, name: &ModuleName) {
        let mut claims = self.claims.lock().expect("nothing panics while it holds the claims");
        if let Some(taken) = claims.get_mut(name) {
            taken.trying = None;
        }
    }

    /// Whether a package of this name is being installed.
    pub(super) fn is_claimed(&self, name: &ModuleName) -> bool {
        self.claims.lock().expect("nothing panics while it holds the claims").contains_key(name)
    }
}

/// A user id that no module has and no install has taken.
fn free_uid(records: &[ModuleRecord], claims: &Claims) -> u32 {
    let used =
        |uid: &u32| records.iter().any(|record| record.uid == *uid) || claims.values().any(|taken| taken.uid == *uid);
    MODULE_UIDS.into_iter().find(|uid| !used(uid)).expect("there are fewer modules than numbers")
}

/// A port is taken by a module, by an install under way, by an update that waits for a person, and by the version
/// before of one that is on probation.
fn check_port_in(
    claims: &Claims,
    slots: &[Arc<Slot>],
    name: &ModuleName,
    port: Option<ModulePort>,
) -> Result<(), ApiError> {
    let Some(port) = port else { return Ok(()) };
    let has = |slot: &Arc<Slot>| {
        let record = slot.record();
        let before = record.previous.as_ref().filter(|_| record.on_probation).and_then(|previous| previous.port);
        record.name != *name && [record.port, slot.waiting_port(), before].contains(&Some(port))
    };
    if slots.iter().any(has) || claims.iter().any(|(other, taken)| other != name && taken.port == Some(port)) {
        let detail = format!("another module has port {} already", port.get());
        return Err(ApiError::Conflict { code: "port_taken", detail });
    }
    Ok(())
}

/// Refuses what cannot take the place of what is installed (protocol, section 2, "Update"; faults M04 and M05).
pub(super) fn check_against(existing: Option<&ModuleRecord>, staged: &Staged) -> Result<(), ApiError> {
    let manifest = &staged.manifest;
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
        Some(old) => check_version(&old.version, &manifest.version, staged.allow_downgrade)?,
        None => {}
    }
    Ok(())
}

fn check_version(old: &Version, new: &Version, allow_downgrade: bool) -> Result<(), ApiError> {
    // Build metadata (`+…`) makes a version neither higher nor lower.
    let detail = match new.cmp_precedence(old) {
        Ordering::Greater => return Ok(()),
        Ordering::Less if allow_downgrade => return Ok(()),
        Ordering::Equal => format!("version {old} is installed: an update needs a higher one"),
        Ordering::Less => format!(
            "version {old} is installed: an update needs a higher one than {new}. A person may go back on purpose: \
             `selenactl module install --allow-downgrade`, or `?allow_downgrade=true` in the API"
        ),
    };
    Err(ApiError::Conflict { code: "manifest_version", detail })
}
