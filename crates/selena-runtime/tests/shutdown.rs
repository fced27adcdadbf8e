//! Real signals to this test program.

use nix::sys::signal::{Signal, raise};
use selena_runtime::shutdown::{ShutdownSignal, listen};

#[tokio::test]
async fn a_signal_before_the_first_poll_is_not_lost() {
    for (sent, seen) in [(Signal::SIGTERM, ShutdownSignal::Terminate), (Signal::SIGINT, ShutdownSignal::Interrupt)] {
        let shutdown = listen().expect("handlers can be installed");
        raise(sent).expect("a process can signal itself");
        assert_eq!(shutdown.await, seen);
    }
}
