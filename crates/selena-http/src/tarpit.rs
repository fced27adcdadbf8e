//! Where the answers to a flood wait (series K, K09).
//!
//! A refusal costs the hub about as much as a request that is granted, so whoever asks on and on without a right decides
//! what the hub's processor does. A connection whose answer is held asks nothing meanwhile: the listener's limit of
//! connections becomes one of refusals a second. Nothing is held but the answer, and it is held after the decision, so
//! no request that is granted waits, but those behind it on the same connection.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::time::sleep;

use crate::server::MAX_CONNECTIONS;

/// How long an answer to a flood is held.
pub(crate) const HOLD: Duration = Duration::from_millis(100);
/// From so many held answers on, new connections are taken one by one.
const CROWD: usize = MAX_CONNECTIONS / 4 * 3;
/// How long is waited then before the next one: fewer come than leave, so that who does not flood finds a place.
const PACE: Duration = Duration::from_micros(2500);

/// The answers of one listener that are held.
#[derive(Debug, Default)]
pub(crate) struct Tarpit {
    held: AtomicUsize,
}

/// One of them; it is gone also when its client leaves before it is told.
struct Held<'a>(&'a AtomicUsize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tarpit {
    /// Holds an answer.
    pub(crate) async fn hold(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
        let _held = Held(&self.held);
        sleep(HOLD).await;
    }

    /// How many are held now.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Waits before the next connection is taken, if the listener is crowded with held answers: who comes then waits
    /// in the kernel's queue, which costs nothing, instead of being turned away.
    pub(crate) async fn pace(&self) {
        if self.held() >= CROWD {
            sleep(PACE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn k09_new_connections_are_paced_while_the_listener_is_crowded_with_held_answers() {
        let tarpit = Arc::new(Tarpit::default());
        let hold = |count| {
            for _ in 0..count {
                let tarpit = tarpit.clone();
                tokio::spawn(async move { tarpit.hold().await });
            }
        };
        let paced = async || {
            tokio::task::yield_now().await;
            let begun = Instant::now();
            tarpit.pace().await;
            begun.elapsed()
        };
        hold(CROWD - 1);
        assert_eq!((paced().await, tarpit.held()), (Duration::ZERO, CROWD - 1));
        hold(1);
        assert!(paced().await >= PACE);
        tokio::time::advance(HOLD).await;
        assert_eq!((paced().await, tarpit.held()), (Duration::ZERO, 0));
    }

    /// Else held answers would take every place after all.
    #[test]
    fn k09_fewer_connections_come_than_leave() {
        let (leave, come) = (HOLD / u32::try_from(CROWD).expect("few"), PACE);
        assert!(come > leave, "one leaves every {leave:?}, one comes every {come:?}");
        assert!(CROWD < MAX_CONNECTIONS);
    }
}
