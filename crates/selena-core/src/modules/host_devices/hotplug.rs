//! Devices that are plugged in and unplugged while modules run.
//!
//! What a container may use is fixed when it is made. So a module whose device is gone, or is another one now, is ended at
//! once: the kernel gives a number that became free to the next stick, which is not this module's. It is started again
//! without it; and again with it when it comes. Neither counts as a crash.

use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};

use selena_types::{ModuleState, RuntimeMode};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::{
    super::{
        ModuleRecord, Modules, about,
        slot::{Live, Slot},
    },
    DeviceHold,
};
use crate::{
    ApiError,
    ports::{DeviceGrant, HostDevices},
};

/// How long a module has to end by itself when its device is gone: less than it takes to plug in another stick.
const REVOKE_GRACE: Duration = Duration::from_secs(1);
/// A module that ends because its device is gone may be faster than the news of that.
const NEWS_PATIENCE: Duration = Duration::from_secs(2);
/// An update may leave a device to another module without anything being plugged.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
/// A device that comes again within this time is not told again.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// What was there when it was last told.
struct Told {
    devices: Arc<HostDevices>,
    at: HashMap<String, Instant>,
}

impl Modules {
    /// Follows what is plugged in until the hub ends.
    pub(in super::super) async fn follow_devices(self: Arc<Self>) {
        let mut devices = self.parts.sandbox.devices();
        let mut told = Told { devices: devices.borrow_and_update().clone(), at: HashMap::new() };
        let mut tick = interval(LOOK_ANYWAY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                changed = devices.changed() => if changed.is_err() { return },
                () = self.device_holds.freed() => {}
                _ = tick.tick() => {}
            }
            let now = devices.borrow_and_update().clone();
            for slot in self.all_slots().into_iter().filter(|slot| !slot.record().devices().is_empty()) {
                let modules = self.clone();
                self.tasks.spawn(async move {
                    let mut live = slot.live.lock().await;
                    modules.adjust(&slot, &mut live).await;
                });
            }
            self.tell(&mut told, now).await;
        }
    }

    /// Tells what came and went.
    async fn tell(&self, told: &mut Told, now: Arc<HostDevices>) {
        let before = std::mem::replace(&mut told.devices, now.clone());
        for path in before.keys().filter(|path| !now.contains_key(*path)) {
            tracing::info!(path, "a device was unplugged");
        }
        told.at.retain(|_, at| at.elapsed() < TELL_AGAIN);
        for (path, device) in now.iter().filter(|(path, _)| !before.contains_key(*path)) {
            tracing::info!(path, "a device was plugged in");
            if told.at.contains_key(path) {
                continue;
            }
            told.at.insert(path.clone(), Instant::now());
            let module = self.lease_holder(path, &now);
            let payload = json!({ "path": path, "kind": device.kind.as_str(), "module": module });
            if let Err(error) = self.parts.api.announce("device.discovered", payload).await {
                tracing::error!(error = &error as &dyn std::error::Error, path, "an event was not stored");
            }
        }
    }

    /// Makes a run have the devices that are there for its module. The module's lock is held.
    async fn adjust(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live) {
        if live.removed {
            return;
        }
        // One that is about to be started takes what is there by itself.
        let Some(active) = &live.active else { return };
        let record = slot.record();
        let (has, due) = (active.devices.grants(), self.due_devices(&record));
        let outcome = if let Some(lost) = has.iter().find(|grant| !due.contains(grant)) {
            let lost = lost.clone();
            self.revoke(slot, live, &lost).await
        } else if let Some(came) = due.iter().find(|grant| !has.contains(grant)) {
            // A job that runs by schedule is not cut off: it gets it the next time.
            if record.runtime_mode == RuntimeMode::Scheduled {
                return;
            }
            self.give(slot, live, &came.path).await
        } else {
            return;
        };
        self.log_unsaved(slot, outcome);
    }

    /// Takes a device that is gone from a module: ends it, and starts it again without.
    async fn revoke(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, lost: &DeviceGrant) -> Result<(), ApiError> {
        let Some(active) = live.active.take() else { return Ok(()) };
        let there = self.plugged_in();
        let (reason, grace) = why_lost(lost, &there);
        let name = slot.record().name;
        tracing::warn!(module = %name, path = lost.path, reason, "a module's device is gone; it is started again without");
        self.detach(&active, &self.parts.api);
        let run = &active.run.run;
        if let Err(error) = self.parts.sandbox.stop(run, grace).await {
            tracing::warn!(%run, error = &error as &dyn std::error::Error, "a container was not stopped; it is removed");
            if let Err(error) = self.parts.sandbox.remove(run).await {
                tracing::error!(%run, error = &error as &dyn std::error::Error, "it was not removed; tried again later");
            }
        }
        drop(active);
        let warning = about(&slot.record(), Some(&reason));
        let told = self.parts.api.announce("module.resource_warning", warning).await;
        self.log_unsaved(slot, told);
        self.start_after(slot, live, reason).await
    }

    /// Starts a module again after its device was taken from it, as soon as that may be.
    async fn start_after(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, reason: String) -> Result<(), ApiError> {
        let ready = ModuleRecord { state: ModuleState::Ready, error: None, ..slot.record() };
        if !self.should_run(&ready) {
            let event = ("module.stopped", about(&ready, Some(&reason)));
            return self.save(slot, ready, vec![event]).await;
        }
        let pause = live.device_restarts.pause();
        live.device_restarts.note();
        live.start_reason = Some(reason.clone());
        let error = Some(format!("{reason}; it is started again in {} s", pause.as_secs()));
        self.save(slot, ModuleRecord { error, ..ready }, Vec::new()).await?;
        self.start_later(slot, live, pause);
        Ok(())
    }

    /// Starts a module again whose device was pulled out or swapped just while its container was made.
    pub(in super::super) fn start_after_change(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live) {
        let pause = live.device_restarts.pause();
        live.device_restarts.note();
        self.start_later(slot, live, pause);
    }

    /// Restarts a module with a device that came, as soon as that may be.
    async fn give(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, path: &str) -> Result<(), ApiError> {
        let pause = live.device_restarts.pause();
        if !pause.is_zero() {
            self.give_later(slot, live, pause);
            return Ok(());
        }
        let record = slot.record();
        tracing::info!(module = %record.name, path, "a module's device is there; it is restarted with it");
        if let Some(active) = live.active.take() {
            self.end_or_later(&active).await;
        }
        live.device_restarts.note();
        live.start_reason = Some(format!("its device `{path}` is there"));
        let ready = ModuleRecord { state: ModuleState::Ready, error: live.start_reason.clone(), ..record };
        self.save(slot, ready, Vec::new()).await?;
        self.start_later(slot, live, Duration::ZERO);
        Ok(())
    }

    fn give_later(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, pause: Duration) {
        if live.device_wait {
            return;
        }
        live.device_wait = true;
        let (modules, slot) = (self.clone(), slot.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = modules.shutdown.cancelled() => return,
                () = sleep(pause) => {}
            }
            let mut live = slot.live.lock().await;
            live.device_wait = false;
            // What is true by now decides, in a box since it may come back here.
            Box::pin(modules.adjust(&slot, &mut live)).await;
        });
    }

    /// Whether a run that ended did so because its device is gone; then it is started again, and nothing is counted.
    pub(in super::super) async fn ended_with_its_device(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live) -> bool {
        let Some(active) = &live.active else { return false };
        if active.devices.grants().is_empty() {
            return false;
        }
        let record = slot.record();
        let Ok(lost) = timeout(NEWS_PATIENCE, self.lost_device(&record, &active.devices)).await else { return false };
        let outcome = self.revoke(slot, live, &lost).await;
        self.log_unsaved(slot, outcome);
        true
    }

    /// Resolves when one of a run's devices is not there for it any more.
    pub(in super::super) async fn lost_device(&self, record: &ModuleRecord, has: &DeviceHold) -> DeviceGrant {
        let mut devices = self.parts.sandbox.devices();
        while !has.grants().is_empty() {
            devices.borrow_and_update();
            let due = self.due_devices(record);
            if let Some(lost) = has.grants().iter().find(|grant| !due.contains(grant)) {
                return lost.clone();
            }
            if devices.changed().await.is_err() {
                break;
            }
        }
        pending().await
    }
}

/// Why a device is to be taken from a module, and how long the module has to end: no time at all, if what its container
/// may still use is somebody else's by now.
fn why_lost(lost: &DeviceGrant, there: &HostDevices) -> (String, Duration) {
    let path = &lost.path;
    let numbers = |path: &String| there.get(path).and_then(|device| device.numbers.as_ref().ok());
    let reason = match numbers(path) {
        None if there.contains_key(path) => format!("its device `{path}` may not be used any more"),
        None => format!("its device `{path}` was unplugged"),
        Some(now) if *now == lost.numbers => format!("its device `{path}` is another module's"),
        Some(_) => format!("its device `{path}` was swapped for another one"),
    };
    let is_in_use =
        there.keys().any(|path| numbers(path).is_some_and(|now| now.iter().any(|n| lost.numbers.contains(n))));
    (reason, if is_in_use { Duration::ZERO } else { REVOKE_GRACE })
}
