//! How often a module crashed lately, and how long it has to wait for its next start (protocol, section 4).
//!
//! Stored with the module, so that neither a restart of the hub nor of the machine makes a crash loop begin anew; and
//! measured by the clock since boot: one that is set neither empties the count nor prolongs it. What happened in an
//! earlier boot counts as if it had happened when this one began, since nobody knows how long the machine was off.

use std::time::Duration;

use jiff::Timestamp;
use selena_types::ModuleState;

use super::ModuleRecord;
use crate::boot_clock::BootTime;

/// So many crashes within [`WINDOW`] end in quarantine.
pub(super) const QUARANTINE: usize = 5;
/// In what time crashes are counted.
const WINDOW: Duration = Duration::from_mins(10);
/// A crash so short before the engine is found to be gone is the engine's.
const ENGINES: Duration = Duration::from_secs(5);
/// The longest pause before a restart; the first is 1 s, and it doubles.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When a module crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashTime {
    /// By the time of day, for people and for the version before.
    pub at: Timestamp,
    /// By the clock that counts; none if the version before stored it.
    pub boot_time: Option<BootTime>,
}

impl CrashTime {
    fn age(&self, now: &BootTime) -> Duration {
        let beginning = || now.since(&BootTime { boot_id: now.boot_id.clone(), since_boot_ms: 0 });
        self.boot_time.as_ref().map_or_else(beginning, |at| now.since(at))
    }
}

impl ModuleRecord {
    /// Counts a crash that happens now, and forgets those that are too long ago.
    pub(super) fn count_crash(&mut self, now: BootTime) {
        self.crashes.retain(|crash| crash.age(&now) < WINDOW);
        self.crashes.push(CrashTime { at: Timestamp::now(), boot_time: Some(now) });
    }

    /// Takes back a crash that was the engine's; whether there was one.
    pub(super) fn forgive_crash(&mut self, now: &BootTime) -> bool {
        self.crashes.pop_if(|last| last.age(now) < ENGINES).is_some()
    }

    /// How long the start that follows a crash has still to wait, if it has.
    pub(super) fn back_off_left(&self, now: &BootTime) -> Option<Duration> {
        let last = self.crashes.last().filter(|_| self.state == ModuleState::Error)?;
        let left = back_off(self.crashes.len()).saturating_sub(last.age(now));
        (!left.is_zero()).then_some(left)
    }
}

/// The pause before the start that follows the n-th crash.
pub(super) fn back_off(crashes: usize) -> Duration {
    let doublings = u32::try_from(crashes.saturating_sub(1)).unwrap_or(u32::MAX).min(6);
    Duration::from_secs(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: &str, secs: u64) -> BootTime {
        BootTime { boot_id: boot.to_owned(), since_boot_ms: secs * 1000 }
    }

    fn crash(boot: &str, secs: u64, year: i16) -> CrashTime {
        let at_day = jiff::civil::date(year, 1, 1).to_zoned(jiff::tz::TimeZone::UTC).expect("a day").timestamp();
        CrashTime { at: at_day, boot_time: Some(at(boot, secs)) }
    }

    #[test]
    fn r05_back_off_doubles_from_one_to_sixty_seconds() {
        let pauses: Vec<_> = (1..=9).map(|crashes| back_off(crashes).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn r05_c02_a_clock_that_is_set_neither_empties_nor_prolongs_what_is_counted() {
        for year in [1970, 2026, 2036] {
            let ages =
                |now: &BootTime| [crash("a", 100, year), crash("b", 5000, year)].map(|crash| crash.age(now).as_secs());
            assert_eq!(ages(&at("a", 160)), [60, 160], "{year}: in the boot of the first");
            assert_eq!(ages(&at("c", 7)), [7, 7], "{year}: in a later boot they are as old as that");
        }
        let by_the_version_before = CrashTime { boot_time: None, ..crash("a", 0, 2036) };
        assert_eq!(by_the_version_before.age(&at("a", 9)).as_secs(), 9);
    }
}
