//! What runs is made equal to what is stored: at start, when the engine comes back, and every 30 s.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use selena_types::{ModuleState, RuntimeMode};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{ModuleRecord, Modules, disk::DiskWatch, schedule::Agenda, slot::Slot, work::CORE};
use crate::{
    boot_clock::BootTime,
    jobs::JobKind,
    ports::{ContainerExit, EngineState, ExitCause, RunId, SandboxError},
};

/// How often it is done when nothing happens.
const PERIOD: Duration = Duration::from_secs(30);
/// How often schedules and idle modules are looked at.
const SECOND: Duration = Duration::from_secs(1);

/// One comparison of what runs with what is stored.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    at: Timestamp,
    took: Duration,
    containers: usize,
}

impl Modules {
    /// Keeps the modules running until [`Modules::shut_down`]; `turned` is called at each turn of that loop, which is
    /// one a second at least.
    pub async fn run(self: Arc<Self>, mut turned: impl FnMut() + Send) {
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
            turned();
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
                _ = tick.tick() => self.watch_disk(&mut disk),
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

    /// One pass. It only compares, and begins what is to be done: each of that in a task of its own, so that none waits
    /// for another one's, nor the next pass for any.
    async fn reconcile(self: &Arc<Self>) -> Result<(), SandboxError> {
        let begun = Instant::now();
        self.finish_interrupted();
        // Asked before the list is made: what starts meanwhile is not in that list, and is not missed.
        let active = self.active_runs();
        let listed = self.parts.sandbox.list().await?;
        self.remove_strays(&listed);
        self.look_at_images().await;
        self.tidy_images();
        let running: HashSet<_> = listed.iter().filter(|container| container.running).map(|c| &c.run).collect();
        for run in active.iter().filter(|run| !running.contains(run)) {
            self.exits.report(ContainerExit { run: run.clone(), cause: ExitCause::Gone });
        }
        for slot in self.all_slots() {
            // Where something is done now, it is seen after that whether there is anything to start.
            let idle = slot.live.try_lock().map_or(true, |live| live.active.is_none() && live.retry.is_none());
            if idle && self.should_run(&slot.record()) {
                self.start_in_background(&slot);
            }
        }
        let pass = Pass { at: Timestamp::now(), took: begun.elapsed(), containers: listed.len() };
        *self.last_pass.lock().expect("nothing panics while it holds it") = Some(pass);
        Ok(())
    }

    /// The last comparison of what runs with what is stored: when, how long it took, and how many containers there were.
    #[must_use]
    pub fn last_pass(&self) -> Value {
        let last = self.last_pass.lock().expect("nothing panics while it holds it").clone();
        last.map_or(Value::Null, |Pass { at, took, containers }| {
            let took_ms = u64::try_from(took.as_micros())
                .map_or(f64::MAX, |micros| f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1e3);
            json!({ "at": at, "took_ms": took_ms, "containers": containers })
        })
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
            // The pause after a crash outlives the hub.
            if let Some(left) = slot.record().back_off_left(&BootTime::now()) {
                modules.start_later(&slot, &mut live, left);
                return;
            }
            let job = modules.job(JobKind::Start, &slot.record().name, CORE);
            if let Err(error) = job.run(modules.start_locked(&slot, &mut live, false)).await {
                modules.after_failed_start(&slot, &mut live, &error).await;
            }
        });
    }
}
