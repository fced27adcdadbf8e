//! Two times: the one for people, which may be wrong, and the one since boot, which decides.

use std::{fs, io, time::Duration};

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use selena_manifest::Moment;

/// Now, by the clock; shown, and never decided by.
pub(crate) fn wall() -> String {
    to_text(Timestamp::now())
}

fn to_text(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// Now, since boot; sleep counts too.
pub(crate) fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// Now, in a form that outlives this process but not this boot.
///
/// # Errors
/// If the kernel does not say which boot this is.
pub(crate) fn moment() -> io::Result<Moment> {
    Ok(Moment { boot_id: boot_id()?, boot_secs: since_boot().as_secs() })
}

/// Which boot this is.
///
/// # Errors
/// If the kernel does not say it.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_at_1970_can_be_shown() {
        assert_eq!(to_text(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
        assert!(moment().expect("Linux").boot_secs > 0);
    }
}
