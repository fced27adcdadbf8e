//! What runs is made equal to what is stored: at start, when the engine comes back, and every 30 s.

use std::{collections::HashSet, sync::Arc, time::Duration};

use selena_types::{ModuleName, ModuleState, RuntimeMode};
use tokio::time::{MissedTickBehavior, interval};

use super::{ModuleRecord, Modules, schedule::Agenda, slot::Slot};
use crate::ports::{ContainerExit, EngineState, ExitCause, ListedContainer, SandboxError};

/// How often it is done when nothing happens.
const PERIOD: Duration = Duration::from_secs(30);
/// How often schedules and idle modules are looked at.
const SECOND: Duration = Duration::from_secs(1);

impl Modules {
    /// Keeps the modules running until [`Modules::shut_down`].
    pub async fn run(self: Arc<Self>) {
        let mut exits = self.parts.sandbox.exits();
        let mut engine = self.parts.sandbox.engine();
        let mut tick = interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut engine_watched = true;
        let mut second = interval(SECOND);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut agenda = Agenda::default();
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                _ = second.tick() => {
                    self.start_due(&mut agenda);
                    self.stop_idle().await;
                    continue;
                }
                Some(exit) = exits.recv() => {
                    self.exits.report(exit);
                    continue;
                }
                changed = engine.changed(), if engine_watched => engine_watched = changed.is_ok(),
                _ = tick.tick() => {}
            }
            let state = engine.borrow().clone();
            match state {
                EngineState::Up => {
                    if let Err(error) = self.reconcile().await {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "the containers could not be listed; tried again"
                        );
                    }
                }
                EngineState::Down(why) => {
                    tracing::warn!(why, "the container engine does not answer; modules wait for it");
                }
                EngineState::Unknown => {}
            }
        }
    }

    async fn reconcile(self: &Arc<Self>) -> Result<(), SandboxError> {
        self.finish_interrupted().await;
        let listed = self.parts.sandbox.list().await?;
        for container in &listed {
            self.remove_stray(container).await;
        }
        let running: HashSet<_> = listed.iter().filter(|c| c.running).map(|c| &c.run).collect();
        for slot in self.all_slots() {
            let Ok(live) = slot.live.try_lock() else { continue };
            if let Some(active) = &live.active {
                if !running.contains(&active.run.run) {
                    self.exits.report(ContainerExit { run: active.run.run.clone(), cause: ExitCause::Gone });
                }
            } else if live.retry.is_none() && self.should_run(&slot.record()) {
                drop(live);
                self.start_in_background(&slot);
            }
        }
        Ok(())
    }

    /// Removes a container that runs and belongs to no run of this process: its namespace was left, and a namespace
    /// that has been left is never entered again.
    async fn remove_stray(&self, container: &ListedContainer) {
        if !container.running && !container.trial {
            return;
        }
        let name = container.module.parse::<ModuleName>().ok();
        let busy = name.as_ref().is_some_and(|name| {
            self.installing.lock().expect("nothing panics while it holds the names").contains(name)
        });
        let slot = name.and_then(|name| self.slot(&name).ok());
        let live = slot.as_ref().map(|slot| slot.live.try_lock());
        let known = match &live {
            Some(Err(_in_use)) => true,
            Some(Ok(live)) => live.active.as_ref().is_some_and(|active| active.run.run == container.run),
            None => false,
        };
        if busy || known {
            return;
        }
        tracing::info!(run = %container.run, module = container.module, "a container of an earlier run is removed");
        if let Err(error) = self.parts.sandbox.remove(&container.run).await {
            tracing::warn!(run = %container.run, error = &error as &dyn std::error::Error, "it was not removed; tried again");
        }
    }

    fn should_run(&self, record: &ModuleRecord) -> bool {
        use ModuleState::{Error, Ready, Running};
        record.wanted
            && record.runtime_mode == RuntimeMode::AlwaysOn
            && matches!(record.state, Running | Ready | Error)
            && self.is_enabled(&record.name)
    }

    fn start_in_background(self: &Arc<Self>, slot: &Arc<Slot>) {
        let (modules, slot) = (self.clone(), slot.clone());
        self.tasks.spawn(async move {
            let mut live = slot.live.lock().await;
            if live.active.is_some() || live.retry.is_some() || !modules.should_run(&slot.record()) {
                return;
            }
            if let Err(error) = modules.start_locked(&slot, &mut live, false).await {
                modules.after_failed_start(&slot, &mut live, &error).await;
            }
        });
    }
}
