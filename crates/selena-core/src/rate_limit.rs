//! How many requests a second are taken (protocol, section 5), and how many bytes.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::ApiError;

/// A sliding window of one second: in any second at most so many requests pass.
#[derive(Debug)]
pub(crate) struct SlidingWindow {
    /// `None`: no limit.
    per_second: Option<usize>,
    passed: Mutex<VecDeque<Instant>>,
}

impl SlidingWindow {
    /// A window that lets `per_second` requests pass in any second; `None` lets all pass.
    #[must_use]
    pub(crate) fn new(per_second: Option<usize>) -> Self {
        Self { per_second, passed: Mutex::new(VecDeque::new()) }
    }

    /// Whether one more request passes now. One that does not pass is not counted.
    pub(crate) fn pass(&self) -> bool {
        let Some(per_second) = self.per_second else { return true };
        let now = Instant::now();
        let mut passed = self.passed.lock().expect("nothing panics while it holds the window");
        while passed.front().is_some_and(|oldest| now.duration_since(*oldest) >= Duration::from_secs(1)) {
            passed.pop_front();
        }
        if passed.len() >= per_second {
            return false;
        }
        passed.push_back(now);
        true
    }
}

/// How many requests a second pass, and how many that do not are still answered at once.
#[derive(Debug)]
pub(crate) struct RequestLimit {
    passed: SlidingWindow,
    refused: SlidingWindow,
}

impl RequestLimit {
    /// Lets `per_second` requests pass in any second, and takes as many more for a mistake; `None` lets all pass.
    #[must_use]
    pub(crate) fn new(per_second: Option<usize>) -> Self {
        Self { passed: SlidingWindow::new(per_second), refused: SlidingWindow::new(per_second) }
    }

    /// Counts one more request.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`], and [`ApiError::Flooding`] once as many were refused within a second as pass in one.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        if self.passed.pass() {
            Ok(())
        } else if self.refused.pass() {
            Err(ApiError::RateLimited)
        } else {
            Err(ApiError::Flooding)
        }
    }
}

/// A bucket of bytes that fills again at a steady rate: what a module sends ends on the disk, and 100 requests a second
/// of 1 MiB each would wear it out.
#[derive(Debug)]
pub(crate) struct ByteBucket {
    /// `None`: no limit.
    rate: Option<ByteRate>,
    left: Mutex<(f64, Instant)>,
}

/// How much passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ByteRate {
    /// At once, in bytes.
    pub(crate) burst: u32,
    /// In the long run, in bytes a second.
    pub(crate) per_second: u32,
}

impl ByteBucket {
    /// A full bucket.
    #[must_use]
    pub(crate) fn new(rate: Option<ByteRate>) -> Self {
        let full = rate.map_or(0.0, |rate| f64::from(rate.burst));
        Self { rate, left: Mutex::new((full, Instant::now())) }
    }

    /// Whether so many bytes pass now. What does not pass is not counted.
    pub(crate) fn pass(&self, bytes: usize) -> bool {
        let Some(rate) = self.rate else { return true };
        let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        let mut left = self.left.lock().expect("nothing panics while it holds the bucket");
        let now = Instant::now();
        let filled = left.0 + now.duration_since(left.1).as_secs_f64() * f64::from(rate.per_second);
        *left = (filled.min(f64::from(rate.burst)), now);
        if bytes > left.0 {
            return false;
        }
        left.0 -= bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn at_most_so_many_in_any_second() {
        let window = SlidingWindow::new(Some(100));
        assert_eq!((0..150).filter(|_| window.pass()).count(), 100);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(!window.pass());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((0..150).filter(|_| window.pass()).count(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_slides() {
        let window = SlidingWindow::new(Some(2));
        assert!(window.pass());
        tokio::time::advance(Duration::from_millis(600)).await;
        assert!(window.pass() && !window.pass());
        tokio::time::advance(Duration::from_millis(400)).await;
        assert!(window.pass(), "the first is a second old");
        assert!(!window.pass(), "the second is 400 ms old");
    }

    #[tokio::test(start_paused = true)]
    async fn k09_who_is_refused_again_and_again_floods() {
        let limit = RequestLimit::new(Some(20));
        let asked = |limit: &RequestLimit| {
            let told: Vec<_> = (0..60).map(|_| limit.check()).collect();
            let of = |wanted: fn(&Result<(), ApiError>) -> bool| told.iter().filter(|told| wanted(told)).count();
            (
                of(Result::is_ok),
                of(|told| matches!(told, Err(ApiError::RateLimited))),
                of(|told| matches!(told, Err(ApiError::Flooding))),
            )
        };
        assert_eq!(asked(&limit), (20, 20, 20));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(asked(&limit), (0, 0, 60));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(asked(&limit), (20, 20, 20), "a second later all is forgiven");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_lets_a_burst_pass_and_then_its_rate() {
        let bucket = ByteBucket::new(Some(ByteRate { burst: 1000, per_second: 100 }));
        assert!(bucket.pass(600) && bucket.pass(400) && !bucket.pass(1));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!bucket.pass(201), "what does not pass is not counted");
        assert!(bucket.pass(200) && !bucket.pass(1));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(!bucket.pass(1001) && bucket.pass(1000), "it holds no more than its burst");
    }

    #[tokio::test]
    async fn without_a_limit_all_pass() {
        let window = SlidingWindow::new(None);
        assert!((0..10_000).all(|_| window.pass()));
    }
}
