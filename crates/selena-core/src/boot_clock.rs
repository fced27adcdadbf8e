//! The clock since boot, which nobody sets: a hub without a battery for its clock boots in 1970, and jumps.

use std::{fs, sync::OnceLock, time::Duration};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment within one boot of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootTime {
    /// The boot, as `/proc/sys/kernel/random/boot_id` has it.
    pub boot_id: String,
    /// Milliseconds since it, those asleep too.
    pub since_boot_ms: u64,
}

impl BootTime {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let since_boot_ms = u64::try_from(since_boot().as_millis()).unwrap_or(u64::MAX);
        Self { boot_id: boot_id().to_owned(), since_boot_ms }
    }

    /// How long ago a moment was, at least: one of another boot was before this one began.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let begun = if earlier.boot_id == self.boot_id { earlier.since_boot_ms } else { 0 };
        Duration::from_millis(self.since_boot_ms.saturating_sub(begun))
    }
}

/// Time since boot; sleep counts too.
pub(crate) fn since_boot() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has this clock"))
}

/// This boot, as `/proc/sys/kernel/random/boot_id` has it; empty if that cannot be read.
pub(crate) fn boot_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c08_a_moment_of_another_boot_is_at_least_as_old_as_this_boot() {
        let at = |boot: &str, ms| BootTime { boot_id: boot.to_owned(), since_boot_ms: ms };
        let now = at("this", 90_000);
        assert_eq!(now.since(&at("this", 30_000)), Duration::from_mins(1));
        assert_eq!(now.since(&at("before", 30_000)), Duration::from_secs(90));
        assert_eq!(now.since(&at("before", 9_000_000)), Duration::from_secs(90), "not in the future");
    }
}
