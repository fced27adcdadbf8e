//! Waiting for what has to happen, with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until there is something, and gives that.
///
/// # Panics
/// If it is not there within `secs` seconds.
#[track_caller]
pub fn for_some<T>(what: &str, secs: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(secs);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {secs} s: {what}");
        pause();
    }
}

/// Looks until it holds.
///
/// # Panics
/// If it does not within `secs` seconds.
#[track_caller]
pub fn until(what: &str, secs: u64, mut look: impl FnMut() -> bool) {
    for_some(what, secs, || look().then_some(()));
}

/// Looks until it holds; `false` if it does not within `secs` seconds.
pub(crate) fn holds(secs: u64, mut look: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(secs);
    while !look() {
        if Instant::now() >= deadline {
            return false;
        }
        pause();
    }
    true
}

#[expect(clippy::disallowed_methods, reason = "the pause between two looks; what is waited for is looked at")]
fn pause() {
    thread::sleep(LOOK);
}
