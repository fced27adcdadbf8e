//! Watching a run: its end, its health, and what follows from them (protocol, sections 2 and 4).

use std::{sync::Arc, time::Duration};

use selena_types::{ModuleState, RuntimeMode};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    ModuleRecord, Modules, about,
    crashes::{QUARANTINE, back_off},
    health::HEALTH_TIMEOUT,
    slot::{Active, Live, Slot},
    work::CORE,
};
use crate::{
    ApiError,
    boot_clock::BootTime,
    jobs::JobKind,
    ports::{ExitCause, RunId},
};

/// How often a running module is asked for its health.
const HEALTH_PERIOD: Duration = Duration::from_secs(30);
/// How many failures in a row count as a crash.
const FAILURES: u32 = 3;

impl Modules {
    /// Keeps a run and watches it from now on.
    pub(super) fn supervise(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, active: Active) {
        self.watch_probation(slot, &active);
        let (modules, slot) = (self.clone(), slot.clone());
        let (run, mut exit, ended) = (active.run.clone(), active.exit.clone(), active.supervision.clone());
        self.tasks.spawn(async move {
            let reason = tokio::select! {
                () = ended.cancelled() => return,
                cause = exit.ended() => Crash::Ended(cause),
                why = modules.unhealthy(&run.run, run.port) => Crash::Unhealthy(why),
            };
            // In a box: this task lives as long as the run, and what follows a crash is large.
            Box::pin(modules.crashed(&slot, &run.run, reason)).await;
        });
        live.active = Some(active);
    }

    /// Resolves when the module failed to answer three times in a row.
    async fn unhealthy(&self, run: &RunId, port: Option<selena_types::ModulePort>) -> String {
        let Some(port) = port else { return std::future::pending().await };
        let mut tick = interval_at(Instant::now() + HEALTH_PERIOD, HEALTH_PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0;
        loop {
            tick.tick().await;
            let Err(mut why) = self.ask_health(run, port).await else {
                failures = 0;
                continue;
            };
            failures += 1;
            while failures < FAILURES {
                sleep(HEALTH_TIMEOUT).await;
                match self.ask_health(run, port).await {
                    Ok(()) => failures = 0,
                    Err(again) => {
                        failures += 1;
                        why = again;
                    }
                }
                if failures == 0 {
                    break;
                }
            }
            if failures >= FAILURES {
                return why;
            }
        }
    }

    /// A run crashed: count it, and decide.
    async fn crashed(self: &Arc<Self>, slot: &Arc<Slot>, run: &RunId, crash: Crash) {
        let mut live = slot.live.lock().await;
        if live.removed || live.active.as_ref().is_none_or(|active| active.run.run != *run) {
            return;
        }
        if matches!(crash, Crash::Ended(_)) && self.ended_with_its_device(slot, &mut live).await {
            return;
        }
        let Some(active) = live.active.take() else { return };
        self.end_or_later(&active).await;
        let record = slot.record();
        if let Crash::Unhealthy(why) = &crash
            && let Err(error) = self.parts.api.announce("module.unhealthy", about(&record, Some(why))).await
        {
            self.log_unsaved(slot, Err(error));
        }
        let outcome = if self.parts.api.integrity().safe_mode().is_some() {
            // The integrity agent stops containers too: that is nobody's crash.
            self.save_held(slot).await
        } else if matches!(crash, Crash::Ended(ExitCause::EngineRestarted)) {
            let error = Some("waits for the container engine".to_owned());
            let waiting = ModuleRecord { state: ModuleState::Ready, error, ..record };
            let outcome = self.save(slot, waiting, Vec::new()).await;
            self.start_in_background(slot);
            outcome
        } else if crash.is_regular_end(record.runtime_mode) {
            self.end_probation(slot).await;
            let ready = ModuleRecord { state: ModuleState::Ready, error: None, ..slot.record() };
            let event = ("module.stopped", about(&ready, Some("it ended by itself")));
            self.save(slot, ready, vec![event]).await
        } else if self.judge_later(slot, &mut live, &crash.reason()).await {
            Ok(())
        } else {
            self.count_crash(slot, &mut live, &crash.reason()).await
        };
        self.log_unsaved(slot, outcome);
    }

    /// Counts a crash, and plans the next start or the quarantine.
    pub(super) async fn count_crash(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        live: &mut Live,
        reason: &str,
    ) -> Result<(), ApiError> {
        let mut record = slot.record();
        record.count_crash(BootTime::now());
        tracing::warn!(module = %record.name, reason, crashes = record.crashes.len(), "a module crashed");
        // Stored together, so that a crash that was told of is counted also if the hub ends now.
        let crashed = ("module.crashed", about(&record, Some(reason)));
        if record.crashes.len() >= QUARANTINE {
            record.state = ModuleState::Quarantined;
            record.error = Some(format!("it crashed {QUARANTINE} times in 10 minutes, the last time: {reason}"));
            let quarantined = ("module.quarantined", about(&record, Some(reason)));
            return self.save(slot, record, vec![crashed, quarantined]).await;
        }
        let pause = back_off(record.crashes.len());
        record.state = ModuleState::Error;
        record.error = Some(format!("{reason}; it is started again in {} s", pause.as_secs()));
        self.save(slot, record, vec![crashed]).await?;
        self.start_later(slot, live, pause);
        Ok(())
    }

    /// Starts a module after a pause, unless something else is decided meanwhile.
    pub(super) fn start_later(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, pause: Duration) {
        let cancel = CancellationToken::new();
        live.retry = Some(cancel.clone());
        let (modules, slot) = (self.clone(), slot.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = modules.shutdown.cancelled() => return,
                () = sleep(pause) => {}
            }
            let mut live = slot.live.lock().await;
            if cancel.is_cancelled() {
                return;
            }
            live.retry = None;
            let job = modules.job(JobKind::Start, &slot.record().name, CORE);
            if let Err(error) = job.run(modules.start_locked(&slot, &mut live, false)).await {
                modules.after_failed_start(&slot, &mut live, &error).await;
            }
        });
    }

    /// A start nobody waits for failed. Only what the module itself did counts as a crash: for the rest it is tried
    /// again when the hub next looks, and a crash that came with the engine's own end is taken back.
    pub(super) async fn after_failed_start(self: &Arc<Self>, slot: &Arc<Slot>, live: &mut Live, error: &ApiError) {
        match error {
            ApiError::Unhealthy { .. } if self.parts.api.integrity().safe_mode().is_some() => {
                let outcome = self.save_held(slot).await;
                self.log_unsaved(slot, outcome);
            }
            ApiError::Unhealthy { .. } if self.judge_later(slot, live, &error.to_string()).await => {}
            ApiError::Unhealthy { .. } => {
                let outcome = self.count_crash(slot, live, &error.to_string()).await;
                self.log_unsaved(slot, outcome);
            }
            ApiError::Container { code: "device_changed", .. } => self.start_after_change(slot, live),
            ApiError::EngineDown(_) => {
                let mut record = slot.record();
                if record.forgive_crash(&BootTime::now()) {
                    slot.set_record(record.clone());
                    let outcome = self.store(slot, record, Vec::new()).await;
                    self.log_unsaved(slot, outcome);
                }
            }
            other => {
                let name = slot.record().name;
                tracing::warn!(module = %name, error = other as &dyn std::error::Error, "a module was not started");
            }
        }
    }

    pub(super) fn log_unsaved(&self, slot: &Slot, outcome: Result<(), ApiError>) {
        if let Err(error) = outcome {
            let name = slot.record().name;
            tracing::error!(module = %name, error = &error as &dyn std::error::Error, "what became of a module was not stored");
        }
    }
}

/// How a run failed.
#[derive(Debug)]
enum Crash {
    Ended(ExitCause),
    Unhealthy(String),
}

impl Crash {
    fn reason(&self) -> String {
        match self {
            Self::Ended(cause) => format!("it ended: {cause}"),
            Self::Unhealthy(why) => format!("it failed {FAILURES} health checks: {why}"),
        }
    }

    fn is_regular_end(&self, mode: RuntimeMode) -> bool {
        matches!(self, Self::Ended(ExitCause::Code(0))) && mode != RuntimeMode::AlwaysOn
    }
}
