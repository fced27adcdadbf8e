//! Connections from inside a container's network namespace.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, TcpStream},
    thread,
};

use nix::sched::{CloneFlags, setns};

/// Connects to a port of `127.0.0.1` in the namespace of a process.
///
/// A thread of its own goes there and ends; the connection stays where it was made.
pub(crate) fn connect(pid: i64, port: u16) -> io::Result<TcpStream> {
    let connect = move || -> io::Result<TcpStream> {
        setns(File::open(format!("/proc/{pid}/ns/net"))?, CloneFlags::CLONE_NEWNET)?;
        TcpStream::connect((Ipv4Addr::LOCALHOST, port))
    };
    thread::spawn(connect).join().unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
}
