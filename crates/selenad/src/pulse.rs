//! systemd's watchdog, fed with what the hub's loops have done and not by a timer beside them.

use std::{error::Error, sync::Arc};

use selena_core::{Api, ApiError, ports::StoreError};
use selena_runtime::notify;
use tokio::{sync::Notify, time::sleep};

/// Feeds the watchdog each time two things have happened since it was fed: the loop that keeps the modules has made a
/// turn, and the store's writer has answered. Where systemd does not watch, it ends at once.
///
/// A writer that answers with an error is alive: a full or broken disk is told elsewhere, and no restart cures it.
pub(crate) async fn feed(api: Arc<Api>, turned: Arc<Notify>) {
    let Some(interval) = notify::watchdog_interval() else { return };
    loop {
        turned.notified().await;
        if !stopped(&api.settle().await) {
            notify::watchdog();
        }
        sleep(interval).await;
    }
}

/// The writer is gone, and comes back with the process only.
fn stopped(settled: &Result<(), ApiError>) -> bool {
    let error = settled.as_ref().err().map(|error| error as &(dyn Error + 'static));
    let mut causes = std::iter::successors(error, |&error| error.source());
    causes.any(|cause| matches!(cause.downcast_ref(), Some(StoreError::Stopped)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_store_that_is_gone_stops_the_pulse() {
        assert!(stopped(&Err(StoreError::Stopped.into())));
        for alive in [Ok(()), Err(StoreError::DiskFull.into()), Err(ApiError::SafeMode)] {
            assert!(!stopped(&alive), "{alive:?}");
        }
    }
}
