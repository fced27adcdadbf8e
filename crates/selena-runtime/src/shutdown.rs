//! The wish of the operating system that the program ends.

use std::{fmt, io};

use tokio::signal::unix::{SignalKind, signal};

/// Which signal asked for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownSignal {
    /// `SIGTERM`: systemd, or `kill`.
    Terminate,
    /// `SIGINT`: Ctrl-C.
    Interrupt,
}

impl fmt::Display for ShutdownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}

/// A future that resolves at the first `SIGTERM` or `SIGINT` after this call, not after the first poll:
/// a signal that comes while the program still starts is not lost.
///
/// # Errors
/// If the handlers cannot be installed.
///
/// # Panics
/// Outside a tokio runtime with its IO driver enabled.
pub fn listen() -> io::Result<impl Future<Output = ShutdownSignal> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => ShutdownSignal::Terminate,
            _ = interrupt.recv() => ShutdownSignal::Interrupt,
        }
    })
}
