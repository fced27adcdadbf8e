//! Where the answers to a flood wait (series K, K09).
//!
//! A refusal costs the hub about as much as a request that is granted, so whoever asks on and on without a right decides
//! what the hub's processor does. A connection whose answer is held asks nothing meanwhile: the listener's limit of
//! connections becomes one of refusals a second. Nothing is held but the answer, and it is held after the decision, so
//! no request that is granted waits, but those behind it on the same connection.

use std::{sync::Mutex, time::Duration};

use tokio::time::{Instant, sleep};

use crate::server::MAX_CONNECTIONS;

/// How long an answer to a flood is held.
pub(crate) const HOLD: Duration = Duration::from_millis(100);
/// How long after its last request a flood is taken to go on: its clients may all be about to come again.
const LULL: Duration = Duration::from_secs(1);
/// From so many connections on, further ones are taken one by one during a flood.
const CROWD: usize = MAX_CONNECTIONS / 4 * 3;
/// How long is waited then before the next one: fewer come than leave, so that who does not flood finds a place.
const PACE: Duration = Duration::from_millis(4);

/// The answers of one listener that are held.
#[derive(Debug, Default)]
pub(crate) struct Tarpit {
    /// When the newest of them came.
    newest: Mutex<Option<Instant>>,
}

impl Tarpit {
    /// Holds an answer.
    pub(crate) async fn hold(&self) {
        *self.newest.lock().expect("nothing panics while it holds the time") = Some(Instant::now());
        sleep(HOLD).await;
    }

    /// Whether the listener is flooded.
    pub(crate) fn is_flooded(&self) -> bool {
        self.newest.lock().expect("nothing panics while it holds the time").is_some_and(|at| at.elapsed() < LULL)
    }

    /// Waits before the next connection is taken, if the listener is flooded and so many are there already: who comes
    /// then waits in the kernel's queue, which costs nothing, instead of being turned away.
    pub(crate) async fn pace(&self, connections: usize) {
        if connections >= CROWD && self.is_flooded() {
            sleep(PACE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn k09_during_a_flood_a_crowded_listener_takes_connections_one_by_one() {
        let tarpit = Tarpit::default();
        let paced = async |connections| {
            let begun = Instant::now();
            tarpit.pace(connections).await;
            begun.elapsed()
        };
        assert_eq!(paced(MAX_CONNECTIONS).await, Duration::ZERO, "no flood");
        tarpit.hold().await;
        assert_eq!(paced(CROWD - 1).await, Duration::ZERO, "no crowd");
        assert_eq!(paced(CROWD).await, PACE);
        tokio::time::advance(LULL).await;
        assert_eq!(paced(CROWD).await, Duration::ZERO, "it is over");
    }

    /// Else held answers would take every place after all.
    #[test]
    fn k09_fewer_connections_come_than_leave() {
        let (leave, come) = (HOLD / u32::try_from(CROWD).expect("few"), PACE);
        assert!(come > leave, "one leaves every {leave:?}, one comes every {come:?}");
        const { assert!(CROWD < MAX_CONNECTIONS) };
    }
}
