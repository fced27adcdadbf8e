//! Modules that run by a schedule (protocol, sections 3 and 4).

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use selena_types::{ModuleName, ModuleState, RuntimeMode, Schedule};
use tokio::time::Instant;

use super::{ModuleRecord, Modules, work::CORE};
use crate::{ApiError, jobs::JobKind};

/// When a module is due next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Due {
    /// By the monotonic clock: `every:` is not moved by a jump of the time of day.
    At(Instant),
    /// By the time of day; planned at the second one, to see whether the clock was set back since.
    On(Timestamp, Timestamp),
    /// Never again, or not readable.
    Never,
}

/// What is due when, kept by the reconciling task.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: HashMap<ModuleName, (Schedule, Due)>,
}

impl Agenda {
    /// The modules that are due now; each comes once, however long the hub slept.
    pub(super) fn take_due(&mut self, scheduled: &[(ModuleName, Schedule)]) -> Vec<ModuleName> {
        self.due.retain(|name, (schedule, _)| scheduled.iter().any(|(known, now)| known == name && now == schedule));
        let mut ready = Vec::new();
        for (name, schedule) in scheduled {
            let entry = self.due.entry(name.clone()).or_insert_with(|| (schedule.clone(), next(schedule)));
            if matches!(entry.1, Due::On(_, planned) if Timestamp::now() < planned) {
                entry.1 = next(schedule);
            }
            let is_due = match &entry.1 {
                Due::At(at) => *at <= Instant::now(),
                Due::On(at, _) => *at <= Timestamp::now(),
                Due::Never => false,
            };
            if is_due {
                entry.1 = next(schedule);
                ready.push(name.clone());
            }
        }
        ready
    }
}

fn next(schedule: &Schedule) -> Due {
    match schedule {
        Schedule::EverySecs(secs) => Due::At(Instant::now() + Duration::from_secs(*secs)),
        Schedule::Cron(fields) => {
            let now = Timestamp::now();
            next_of_cron(fields, &TimeZone::system(), now).map_or(Due::Never, |at| Due::On(at, now))
        }
    }
}

/// The first time after `after` that fits five cron fields in local time.
///
/// Fields are matched against what the clock on the wall shows: a time it shows twice fires the first time only,
/// and one it skips fires when the clock has jumped over it.
fn next_of_cron(fields: &str, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let crontab = cronexpr::parse_crontab(&format!("{fields} UTC")).ok()?;
    let mut wall = zone.to_datetime(after).to_zoned(TimeZone::UTC).ok()?.timestamp();
    loop {
        wall = crontab.find_next(wall).ok()?.timestamp();
        let shown = TimeZone::UTC.to_datetime(wall);
        let at = zone.to_ambiguous_zoned(shown).compatible().ok()?.timestamp();
        if at > after {
            return Some(at);
        }
    }
}

impl Modules {
    /// Starts the modules that are due.
    pub(super) fn start_due(self: &Arc<Self>, agenda: &mut Agenda) {
        let scheduled: Vec<_> = self.records().iter().filter_map(|record| self.schedule_of(record)).collect();
        for name in agenda.take_due(&scheduled) {
            if let Ok(slot) = self.slot(&name) {
                self.start_scheduled(&slot);
            }
        }
    }

    fn schedule_of(&self, record: &ModuleRecord) -> Option<(ModuleName, Schedule)> {
        let waits = record.runtime_mode == RuntimeMode::Scheduled
            && record.wanted
            && matches!(record.state, ModuleState::Ready | ModuleState::Running | ModuleState::Error)
            && self.is_enabled(&record.name)
            && self.parts.api.integrity().safe_mode().is_none();
        let schedule = if waits { self.manifest(record).ok()?.schedule } else { None };
        Some((record.name.clone(), schedule?))
    }

    fn start_scheduled(self: &Arc<Self>, slot: &Arc<super::slot::Slot>) {
        let (modules, slot) = (self.clone(), slot.clone());
        self.tasks.spawn(async move {
            let mut live = slot.live.lock().await;
            // One that still runs from the time before is not started twice.
            let still_due = modules.schedule_of(&slot.record()).is_some();
            if live.active.is_some() || live.retry.is_some() || !still_due {
                return;
            }
            let name = slot.record().name;
            let job = modules.job(JobKind::ScheduledRun, &name, CORE);
            if let Err(error) = job.run(modules.start_locked(&slot, &mut live, false)).await {
                tracing::warn!(module = %name, error = &error as &dyn std::error::Error, "a scheduled module did not start");
                if matches!(error, ApiError::Unhealthy { .. }) {
                    modules.judge_later(&slot, &mut live, &error.to_string()).await;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn cron_is_in_local_time() {
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        let next = next_of_cron("30 7 * * *", &berlin, at("2026-01-10T00:00:00Z"));
        assert_eq!(next, Some(at("2026-01-10T06:30:00Z")));
    }

    #[test]
    fn c04_a_time_that_the_clock_shows_twice_or_never_fires_once() {
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        let fires = |from: &str, to: &str| {
            let (mut count, mut now) = (0, at(from));
            while let Some(next) = next_of_cron("30 2 * * *", &berlin, now).filter(|next| *next < at(to)) {
                count += 1;
                now = next;
            }
            count
        };
        assert_eq!(fires("2026-10-24T22:00:00Z", "2026-10-25T22:00:00Z"), 1, "02:30 is there twice");
        assert_eq!(fires("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"), 2, "02:30 is missing on the 29th");
    }

    #[tokio::test(start_paused = true)]
    async fn every_fires_once_for_each_period_and_once_after_a_sleep() {
        let mut agenda = Agenda::default();
        let modules = [("m1".parse().expect("a name"), Schedule::EverySecs(60))];
        assert!(agenda.take_due(&modules).is_empty(), "first it is planned");
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(agenda.take_due(&modules).is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(agenda.take_due(&modules).len(), 1);
        tokio::time::advance(Duration::from_secs(8 * 3600)).await;
        assert_eq!(agenda.take_due(&modules).len(), 1, "C06: it catches up once");
        assert!(agenda.take_due(&modules).is_empty());
    }
}
