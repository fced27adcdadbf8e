//! Serving the API, and approved egress, on listeners.

use std::{fmt, os::fd::OwnedFd, sync::Arc};

use crate::{Api, egress::EgressGate, identity::Origin};

/// A listener that is being served.
pub trait ServedListener: fmt::Debug + Send + Sync {
    /// Ends it: `shutdown(2)` of the listening socket, so that no copy of the descriptor takes connections any more,
    /// and all its connections are closed.
    fn shut_down(&self);
}

/// Something that serves the API.
pub trait ListenerHost: fmt::Debug + Send + Sync + 'static {
    /// Serves the API on a listening TCP socket; every request that comes in bears this origin.
    ///
    /// # Errors
    /// If the descriptor is no listening socket.
    fn serve(&self, listener: OwnedFd, api: Arc<Api>, origin: Origin) -> std::io::Result<Arc<dyn ServedListener>>;

    /// Serves the CONNECT proxy of approved egress on a listening TCP socket (protocol, section 1).
    ///
    /// # Errors
    /// If the descriptor is no listening socket.
    fn serve_egress(&self, listener: OwnedFd, gate: EgressGate) -> std::io::Result<Arc<dyn ServedListener>>;
}
