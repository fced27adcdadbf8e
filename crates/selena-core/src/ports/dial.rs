//! TCP from the hub to places outside that modules may reach, guarded (protocol, sections 1 and 7).

use std::{fmt, os::fd::OwnedFd};

use futures_util::future::BoxFuture;
use selena_types::ModuleName;

/// A place to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialTarget {
    /// The module it is for: names that nobody answers hold up its own connections and no other module's.
    pub module: ModuleName,
    /// A DNS name without a dot at its end, or an IP address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether addresses of private networks (RFC 1918, and `fc00::/7`) are good too. Loopback, link-local and other
    /// special addresses, and those of this machine, are never good.
    pub lan: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// One of the host's addresses may not be connected to; nothing was sent.
    #[error("{0}")]
    Refused(String),
    /// The name is not known, or no address takes the connection.
    #[error("`{host}` cannot be reached")]
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took more than 10 s.
    #[error("`{host}` cannot be reached within 10 s")]
    Timeout {
        /// The host.
        host: String,
    },
}

/// Connections to places outside.
pub trait Dial: fmt::Debug + Send + Sync + 'static {
    /// Resolves once, checks every address, and connects to a checked one, within 10 s. Gives a connected, non-blocking
    /// TCP socket.
    fn connect(&self, target: DialTarget) -> BoxFuture<'_, Result<OwnedFd, DialError>>;
}
