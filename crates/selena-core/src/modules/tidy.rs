//! What is left over is removed: strays, images, and what was interrupted. Each in a task of its own, few at a time.

use std::sync::Arc;

use selena_types::{ModuleName, ModuleState};

use super::{Modules, slot::Slot};
use crate::ports::ListedContainer;

impl Modules {
    /// Removes containers that belong to no run of this process.
    pub(super) fn remove_strays(self: &Arc<Self>, listed: &[ListedContainer]) {
        for container in listed.iter().filter(|container| self.may_be_stray(container)) {
            let (modules, container) = (self.clone(), container.clone());
            self.tasks.spawn(async move {
                let removed = match modules.cleanups.acquire().await {
                    Ok(_few) => modules.remove_stray(&container).await,
                    Err(_the_hub_ends) => return,
                };
                // Its image may have been to go: as long as it ran, that could only lose its name.
                if removed && let Ok(name) = container.module.parse() {
                    modules.tidy_images_of(name).await;
                }
            });
        }
    }

    /// Without any lock, so that a pass in which all is in order begins nothing.
    fn may_be_stray(&self, container: &ListedContainer) -> bool {
        let slot = container.module.parse().ok().and_then(|name| self.slot(&name).ok());
        let live = slot.as_ref().map(|slot| slot.live.try_lock());
        match live {
            Some(Ok(live)) => live.active.as_ref().is_none_or(|active| active.run.run != container.run),
            // Something is done to it.
            Some(Err(_in_use)) => container.trial,
            None => true,
        }
    }

    /// Removes a container that runs and belongs to no run of this process: its namespace was left, and a namespace
    /// that has been left is never entered again. Whether it was removed.
    async fn remove_stray(&self, container: &ListedContainer) -> bool {
        let name = container.module.parse::<ModuleName>().ok();
        if name.as_ref().is_some_and(|name| self.is_claimed(name)) {
            return false;
        }
        let slot = name.and_then(|name| self.slot(&name).ok());
        // The lock is held while it is removed, so that it is not in the way of a start. A trial is in nobody's.
        let live = match &slot {
            Some(slot) if !container.trial => match slot.live.try_lock() {
                Ok(live) => Some(live),
                Err(_in_use) => return false,
            },
            _ => None,
        };
        let is_own = live.as_ref().is_some_and(|live| live.active.as_ref().is_some_and(|a| a.run.run == container.run));
        // One that ended stays for its log, as long as its module is there.
        let kept_for_its_log = !container.running && !container.trial && slot.is_some();
        if is_own || kept_for_its_log {
            return false;
        }
        tracing::info!(run = %container.run, module = container.module, "a container of an earlier run is removed");
        let removed = self.parts.sandbox.remove(&container.run).await;
        if let Err(error) = &removed {
            tracing::warn!(run = %container.run, error = error as &dyn std::error::Error, "it was not removed; tried again");
        }
        removed.is_ok()
    }

    /// Removes what trials and updates left with the engine: those that the hub's own end cut, once after each start,
    /// and those that could not tidy up because the engine was away.
    pub(super) fn tidy_images(self: &Arc<Self>) {
        let names = std::mem::take(&mut *self.untidy.lock().expect("nothing panics while it holds the names"));
        for name in names {
            let modules = self.clone();
            self.tasks.spawn(async move { modules.tidy_images_of(name).await });
        }
    }

    async fn tidy_images_of(self: &Arc<Self>, name: ModuleName) {
        if self.is_claimed(&name) {
            // An install of it is under way: what that leaves is looked at when it has ended.
            self.tidy_later(&name);
            return;
        }
        let tidied = match self.slot(&name) {
            Ok(slot) => {
                // Held, so that an image that is being made for another version does not go.
                let _live = slot.live.lock().await;
                let Ok(_few) = self.cleanups.acquire().await else { return };
                self.prune_images(&slot.record()).await
            }
            Err(_not_installed) => {
                let Some(_claim) = self.claim_name(&name) else { return };
                let Ok(_few) = self.cleanups.acquire().await else { return };
                self.parts.sandbox.purge(&name).await
            }
        };
        if let Err(error) = tidied {
            tracing::warn!(module = %name, error = &error as &dyn std::error::Error, "tried again later");
            self.tidy_later(&name);
        }
    }

    /// What could not be removed of a module's images now is removed when the engine answers again, or in 30 s.
    pub(super) fn tidy_later(&self, name: &ModuleName) {
        self.untidy.lock().expect("nothing panics while it holds the names").insert(name.clone());
    }

    /// Finishes removals and undoes first installs that something interrupted.
    pub(super) fn finish_interrupted(self: &Arc<Self>) {
        for slot in self.all_slots().into_iter().filter(|slot| self.is_interrupted(slot)) {
            let modules = self.clone();
            self.tasks.spawn(async move {
                let Ok(mut live) = slot.live.try_lock() else { return };
                let record = slot.record();
                if live.removed || live.active.is_some() || !modules.is_interrupted(&slot) {
                    return;
                }
                match modules.erase(&slot, &mut live).await {
                    Ok(()) => tracing::info!(module = %record.name, "an interrupted install or removal was finished"),
                    Err(error) => {
                        tracing::warn!(module = %record.name, error = &error as &dyn std::error::Error, "tried again later");
                    }
                }
            });
        }
    }

    fn is_interrupted(&self, slot: &Slot) -> bool {
        let record = slot.record();
        match record.state {
            ModuleState::Removed => true,
            ModuleState::Validating => !self.is_claimed(&record.name),
            _ => false,
        }
    }
}
