//! Word to systemd (`sd_notify(3)`). Outside systemd, that is without `NOTIFY_SOCKET`, nothing happens.
//!
//! The functions send at once on the calling thread; systemd's socket takes a datagram without delay.
//! A message that cannot be sent is logged and otherwise ignored: the service works on, and systemd decides.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service is ready: its sockets listen and its state is loaded.
pub fn ready() {
    send(&NotifyState::Ready);
}

/// The service has begun to shut down.
pub fn stopping() {
    send(&NotifyState::Stopping);
}

/// The work loop is alive. To be called by the loop that does the work, not by a timer beside it.
pub fn watchdog() {
    send(&NotifyState::Watchdog);
}

/// One line for `systemctl status`; of a longer text only the first line is sent.
pub fn status(line: &str) {
    // A line break would begin another assignment of the message.
    send(&NotifyState::Status(line.lines().next().unwrap_or_default()));
}

/// How often [`watchdog`] has to be called: half of systemd's `WatchdogSec=`. `None` if it does not watch.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|timeout| timeout / 2).filter(|interval| !interval.is_zero())
}

fn send(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, "systemd could not be notified");
    }
}
