//! How many requests a second are taken (protocol, section 5).

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use tokio::time::Instant;

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

    #[tokio::test]
    async fn without_a_limit_all_pass() {
        let window = SlidingWindow::new(None);
        assert!((0..10_000).all(|_| window.pass()));
    }
}
