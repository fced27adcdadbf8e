//! How often a provider is asked whether the person has agreed (RFC 8628, section 3.5).

use std::time::Duration;

/// Where the provider names no interval (O02).
pub(super) const DEFAULT_SECS: u64 = 5;
/// The least and the most interval a provider may begin with (O03).
pub(super) const FIRST_SECS: std::ops::RangeInclusive<u64> = 1..=60;
/// What `slow_down` adds, for this and all later requests.
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// Never rarer than this, however often the provider slows down or fails.
const RAREST: Duration = Duration::from_secs(300);

/// The pace of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    interval: Duration,
    /// Longer than the interval while the provider cannot be reached.
    back_off: Duration,
}

impl Pace {
    pub(super) fn new(interval_secs: u64) -> Self {
        let interval = Duration::from_secs(interval_secs).min(RAREST);
        Self { interval, back_off: interval }
    }

    /// How long to wait before the next request.
    pub(super) fn wait(&self) -> Duration {
        self.interval.max(self.back_off)
    }

    /// What a restart of the hub begins with again.
    pub(super) fn interval_secs(&self) -> u64 {
        self.interval.as_secs()
    }

    /// The provider answered that the person has not decided.
    pub(super) fn answered(&mut self) {
        self.back_off = self.interval;
    }

    /// The provider answered `slow_down`.
    pub(super) fn slow_down(&mut self) {
        self.interval = (self.interval + SLOW_DOWN).min(RAREST);
        self.back_off = self.interval;
    }

    /// The provider did not answer.
    pub(super) fn unreachable(&mut self) {
        self.back_off = (self.wait() * 2).min(RAREST);
    }
}
