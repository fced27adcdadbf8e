//! The two sockets that are made in a module's network namespace.

use std::{io, os::fd::AsRawFd, os::fd::OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket, sockopt::ReuseAddr,
};

/// Where a module finds the hub (protocol, section 1).
pub(crate) const HUB_PORT: u16 = 7070;

/// Connections that may wait to be accepted; the listener's own limit is far below.
const BACKLOG: i32 = 128;

/// A non-blocking listener on `127.0.0.1:7070` of the calling thread's namespace.
pub(crate) fn hub_listener() -> io::Result<OwnedFd> {
    let listener = unconnected()?;
    setsockopt(&listener, ReuseAddr, &true)?;
    bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, HUB_PORT))?;
    listen(&listener, Backlog::new(BACKLOG)?)?;
    Ok(listener)
}

/// A non-blocking, unconnected TCP/IPv4 socket of the calling thread's namespace.
pub(crate) fn unconnected() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    Ok(socket(AddressFamily::Inet, SockType::Stream, flags, None)?)
}
