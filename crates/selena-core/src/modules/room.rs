//! Room on the disk is promised before it is taken: what a module may write lies in an image that has all its blocks
//! from the start, so an install that fits leaves every module, and the hub itself, what it was promised.

use std::{
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use selena_types::ModuleName;

use super::{ModuleRecord, Modules, slot::Slot, staging::Staged};
use crate::{ApiError, disk_space::space};

const MIB: u64 = 1024 * 1024;
/// What the hub keeps free for its own database: this part of the disk, and at most so much.
const KEPT_PART: u64 = 20;
const KEPT_BYTES: u64 = 256 * MIB;

/// Room that an install will take; given back when dropped, since it is taken then, or not needed any more.
#[derive(Debug)]
pub(super) struct Room {
    modules: Arc<Modules>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.modules.reserved.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Modules {
    /// Takes the room that a package needs until it runs: for its trial, and for its data or a copy of them.
    ///
    /// # Errors
    /// [`ApiError::NoRoom`] with the numbers, if it is not there beside what others were promised.
    pub(super) fn reserve_room(self: &Arc<Self>, staged: &Staged, existing: Option<&Slot>) -> Result<Room, ApiError> {
        let wanted = u64::from(staged.manifest.resources.data_mb) * MIB;
        let volume = length(&self.data_image(&staged.manifest.name));
        let growth = wanted.saturating_sub(volume);
        // The trial's data are gone before the module's own are made, or copied.
        let data = wanted.max(existing.map_or(growth, |_| volume + growth));
        // The engine has the image's files besides.
        let needed = data + length(&staged.upload.image_root());
        let taken = self.reserved.fetch_add(needed, Ordering::SeqCst);
        let room = Room { modules: self.clone(), bytes: needed };
        let Some((total, free)) = space(&self.parts.config.data_dir) else { return Ok(room) };
        let promised = taken + self.promised_bytes(Some(&staged.manifest.name));
        let kept = kept_bytes(total);
        if needed.saturating_add(promised).saturating_add(kept) <= free {
            return Ok(room);
        }
        Err(ApiError::NoRoom { needed, free, promised, kept })
    }

    /// What installed modules may still take: the data of those that never started.
    pub(super) fn promised_bytes(&self, except: Option<&ModuleName>) -> u64 {
        let others = self.records().into_iter().filter(|record| Some(&record.name) != except);
        others.map(|record| self.promised_to(&record)).sum()
    }

    fn promised_to(&self, record: &ModuleRecord) -> u64 {
        let wanted = self.manifest(record).map_or(0, |manifest| u64::from(manifest.resources.data_mb) * MIB);
        wanted.saturating_sub(length(&self.data_image(&record.name)))
    }
}

/// What the hub keeps free for itself.
pub(super) fn kept_bytes(total: u64) -> u64 {
    (total / KEPT_PART).min(KEPT_BYTES)
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_keeps_a_twentieth_and_at_most_256_mib() {
        assert_eq!([40, 1000, 5120, 100_000].map(|mib| kept_bytes(mib * MIB) / MIB), [2, 50, 256, 256]);
    }
}
