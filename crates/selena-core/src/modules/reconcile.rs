//! What runs is made equal to what is stored: at start, when the engine comes back, and every 30 s.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use selena_types::{ModuleName, ModuleState, RuntimeMode};
use tokio::time::{MissedTickBehavior, interval};

use super::{ModuleRecord, Modules, disk::DiskWatch, schedule::Agenda, slot::Slot};
use crate::ports::{ContainerExit, EngineState, ExitCause, ListedContainer, RunId, SandboxError};

/// How often it is done when nothing happens.
const PERIOD: Duration = Duration::from_secs(30);
/// How often schedules and idle modules are looked at.
const SECOND: Duration = Duration::from_secs(1);

impl Modules {
    /// Keeps the modules running until [`Modules::shut_down`].
    pub async fn run(self: Arc<Self>) {
        self.tasks.spawn(self.clone().follow_devices());
        let mut exits = self.parts.sandbox.exits();
        let mut engine = self.parts.sandbox.engine();
        let mut tick = interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut engine_watched = true;
        let mut second = interval(SECOND);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut agenda = Agenda::default();
        let mut disk = DiskWatch::default();
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                _ = second.tick() => {
                    self.start_due(&mut agenda);
                    self.stop_idle();
                    continue;
                }
                Some(exit) = exits.recv() => {
                    self.exits.report(exit);
                    continue;
                }
                changed = engine.changed(), if engine_watched => engine_watched = changed.is_ok(),
                _ = tick.tick() => self.watch_disk(&mut disk).await,
            }
            let state = engine.borrow().clone();
            match state {
                EngineState::Up => self.reconcile_in_background(),
                EngineState::Down(why) => {
                    tracing::warn!(why, "the container engine does not answer; modules wait for it");
                }
                EngineState::Unknown => {}
            }
        }
    }

    /// In a task of its own: the loop that hears of ends must not wait for the engine.
    pub(super) fn reconcile_in_background(self: &Arc<Self>) {
        let modules = self.clone();
        self.tasks.spawn(async move {
            let Ok(_alone) = modules.reconciling.try_lock() else { return };
            if let Err(error) = modules.reconcile().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the containers could not be listed; tried again"
                );
            }
        });
    }

    async fn reconcile(self: &Arc<Self>) -> Result<(), SandboxError> {
        self.finish_interrupted().await;
        // Asked before the list is made: what starts meanwhile is not in that list, and is not missed.
        let active = self.active_runs();
        let listed = self.parts.sandbox.list().await?;
        for container in &listed {
            self.remove_stray(container).await;
        }
        self.look_at_images().await;
        self.tidy_images().await;
        let running: HashSet<_> = listed.iter().filter(|container| container.running).map(|c| &c.run).collect();
        for run in active.iter().filter(|run| !running.contains(run)) {
            self.exits.report(ContainerExit { run: run.clone(), cause: ExitCause::Gone });
        }
        for slot in self.all_slots() {
            // What holds the lock may only look: whether there is something to do is seen again under it.
            let busy = slot.live.try_lock().is_ok_and(|live| live.active.is_some() || live.retry.is_some());
            if !busy && self.should_run(&slot.record()) {
                self.start_in_background(&slot);
            }
        }
        Ok(())
    }

    fn active_runs(&self) -> Vec<RunId> {
        let run = |slot: &Arc<Slot>| Some(slot.live.try_lock().ok()?.active.as_ref()?.run.run.clone());
        self.all_slots().iter().filter_map(run).collect()
    }

    /// Looks, once after each start, which images are there: a power cut may have taken all that the hub knew of a
    /// package while the engine has its image.
    async fn look_at_images(&self) {
        if self.images_seen.load(Ordering::Relaxed) {
            return;
        }
        match self.parts.sandbox.image_owners().await {
            Ok(names) => {
                names.iter().for_each(|name| self.tidy_later(name));
                self.images_seen.store(true, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the images could not be listed; tried again");
            }
        }
    }

    /// Removes what trials and updates left with the engine: those that the hub's own end cut, once after each start,
    /// and those that could not tidy up because the engine was away.
    async fn tidy_images(self: &Arc<Self>) {
        let names = std::mem::take(&mut *self.untidy.lock().expect("nothing panics while it holds the names"));
        for name in names {
            if self.is_claimed(&name) {
                // An install of it is under way: what that leaves is looked at when it has ended.
                self.tidy_later(&name);
                continue;
            }
            let tidied = match self.slot(&name) {
                Ok(slot) => {
                    // Held, so that an image that is being made for another version does not go.
                    let _live = slot.live.lock().await;
                    self.parts.sandbox.prune_images(&name, &slot.record().version).await
                }
                Err(_not_installed) => {
                    let Some(_claim) = self.claim_name(&name) else { continue };
                    self.parts.sandbox.purge(&name).await
                }
            };
            if let Err(error) = tidied {
                tracing::warn!(module = %name, error = &error as &dyn std::error::Error, "tried again later");
                self.tidy_later(&name);
            }
        }
    }

    /// What could not be removed of a module's images now is removed when the engine answers again, or in 30 s.
    pub(super) fn tidy_later(&self, name: &ModuleName) {
        self.untidy.lock().expect("nothing panics while it holds the names").insert(name.clone());
    }

    /// Removes a container that runs and belongs to no run of this process: its namespace was left, and a namespace
    /// that has been left is never entered again.
    async fn remove_stray(&self, container: &ListedContainer) {
        let name = container.module.parse::<ModuleName>().ok();
        if name.as_ref().is_some_and(|name| self.is_claimed(name)) {
            return;
        }
        let slot = name.and_then(|name| self.slot(&name).ok());
        // The lock is held while it is removed, so that it is not in the way of a start.
        let live = match &slot {
            Some(slot) => match slot.live.try_lock() {
                Ok(live) => Some(live),
                Err(_in_use) => return,
            },
            None => None,
        };
        let is_own = live.as_ref().is_some_and(|live| live.active.as_ref().is_some_and(|a| a.run.run == container.run));
        // One that ended stays for its log, as long as its module is there.
        let kept_for_its_log = !container.running && !container.trial && slot.is_some();
        if is_own || kept_for_its_log {
            return;
        }
        tracing::info!(run = %container.run, module = container.module, "a container of an earlier run is removed");
        if let Err(error) = self.parts.sandbox.remove(&container.run).await {
            tracing::warn!(run = %container.run, error = &error as &dyn std::error::Error, "it was not removed; tried again");
        }
    }

    pub(super) fn should_run(&self, record: &ModuleRecord) -> bool {
        use ModuleState::{Error, Ready, Running};
        record.wanted
            && record.runtime_mode == RuntimeMode::AlwaysOn
            && matches!(record.state, Running | Ready | Error)
            && self.is_enabled(&record.name)
            && self.parts.api.integrity().safe_mode().is_none()
    }

    pub(super) fn start_in_background(self: &Arc<Self>, slot: &Arc<Slot>) {
        let (modules, slot) = (self.clone(), slot.clone());
        self.tasks.spawn(async move {
            let mut live = slot.live.lock().await;
            if live.active.is_some() || live.retry.is_some() || !modules.should_run(&slot.record()) {
                return;
            }
            if let Some(why) = modules.waits_for(&slot.record()) {
                let outcome = modules.save_waiting(&slot, why).await;
                modules.log_unsaved(&slot, outcome);
                return;
            }
            if let Err(error) = modules.start_locked(&slot, &mut live, false).await {
                modules.after_failed_start(&slot, &mut live, &error).await;
            }
        });
    }
}
