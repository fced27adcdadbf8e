//! The sockets that are made in a module's network namespace.

use std::{io, os::fd::AsRawFd, os::fd::OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket, sockopt::ReuseAddr,
};

/// Where a module finds the hub (protocol, section 1).
pub(crate) const HUB_PORT: u16 = 7070;
/// Where a module that was granted egress finds the hub's CONNECT proxy (protocol, section 1).
pub(crate) const EGRESS_PORT: u16 = 7071;

/// Connections that may wait to be accepted; the listener's own limit is far below.
const BACKLOG: i32 = 128;

/// The hub's listeners in a namespace.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// On `127.0.0.1:7070`.
    pub(crate) hub: OwnedFd,
    /// On `127.0.0.1:7071`, if egress was granted.
    pub(crate) egress: Option<OwnedFd>,
}

/// Makes the listeners in the calling thread's namespace. The hub's comes last: the module's program waits for it, so
/// whatever else it was promised is there before it runs.
pub(crate) fn listeners(with_egress: bool) -> io::Result<Listeners> {
    let egress = with_egress.then(|| listener(EGRESS_PORT)).transpose()?;
    Ok(Listeners { hub: listener(HUB_PORT)?, egress })
}

/// A non-blocking listener on this port of `127.0.0.1` of the calling thread's namespace.
fn listener(port: u16) -> io::Result<OwnedFd> {
    let listener = unconnected()?;
    setsockopt(&listener, ReuseAddr, &true)?;
    bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port))?;
    listen(&listener, Backlog::new(BACKLOG)?)?;
    Ok(listener)
}

/// A non-blocking, unconnected TCP/IPv4 socket of the calling thread's namespace.
pub(crate) fn unconnected() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    Ok(socket(AddressFamily::Inet, SockType::Stream, flags, None)?)
}
