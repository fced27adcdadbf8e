//! How often a module is restarted for the sake of its devices: a loose contact plugs a stick in and out all day.

use std::time::Duration;

use tokio::time::Instant;

/// After so long without a restart the next one is the first again.
const QUIET: Duration = Duration::from_secs(5 * 60);
/// The longest pause between two restarts; the first is 2 s, and it doubles.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The restarts of one module.
#[derive(Debug, Default)]
pub(in super::super) struct DeviceRestarts {
    last: Option<(Instant, u32)>,
}

impl DeviceRestarts {
    /// How long the next restart has to wait from now on.
    pub(super) fn pause(&self) -> Duration {
        let Some((at, count)) = self.last.filter(|(at, _)| at.elapsed() < QUIET) else { return Duration::ZERO };
        let pause = Duration::from_secs(1 << count.min(6)).min(LONGEST_PAUSE);
        pause.saturating_sub(at.elapsed())
    }

    /// Notes that a restart happens when the current pause is over.
    pub(super) fn note(&mut self) {
        let count = self.last.filter(|(at, _)| at.elapsed() < QUIET).map_or(0, |(_, count)| count);
        self.last = Some((Instant::now() + self.pause(), count.saturating_add(1)));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_link_that_flaps_a_hundred_times_restarts_a_module_a_few_times() {
        let mut restarts = DeviceRestarts::default();
        let mut count = 0;
        for _ in 0..100 {
            if restarts.pause().is_zero() {
                restarts.note();
                count += 1;
            }
            advance(Duration::from_millis(600)).await;
        }
        assert_eq!(count, 5, "at 0, 2, 6, 14 and 30 s of the minute");
    }

    #[tokio::test(start_paused = true)]
    async fn the_pauses_double_to_a_minute_and_end_with_quiet() {
        let mut restarts = DeviceRestarts::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let pause = restarts.pause();
            pauses.push(pause.as_secs());
            restarts.note();
            advance(pause).await;
        }
        assert_eq!(pauses, [0, 2, 4, 8, 16, 32, 60, 60]);
        advance(QUIET).await;
        assert_eq!(restarts.pause(), Duration::ZERO);
    }
}
