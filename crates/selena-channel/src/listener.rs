//! The listening end of the socket.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
};

use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use tokio::net::UnixListener;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;
/// Owner and group may connect; who of them is heard, the server decides by the peer's credentials.
const MODE: u32 = 0o660;

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process listens there.
    #[error("another sandbox listens on `{0}`: stop it first")]
    InUse(PathBuf),
    /// Something else lies there.
    #[error("`{0}` is there and is no socket: remove it, or choose another path")]
    NoSocket(PathBuf),
    /// What systemd passed is no listening socket of type `SOCK_SEQPACKET`.
    #[error(
        "the socket that was passed is no listening Unix socket of type SOCK_SEQPACKET: see ListenSequentialPacket="
    )]
    WrongKind,
    /// The system failed.
    #[error("cannot listen on `{path}`")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Listens on a path, with mode 0660 and that group. A socket that nobody listens on any more is replaced.
///
/// # Errors
/// [`ListenError`]. To be called in a tokio runtime.
pub fn listen(path: &Path, group: Option<u32>) -> Result<UnixListener, ListenError> {
    remove_stale(path)?;
    let made = || {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let address = SocketAddrUnix::new(path)?;
        let socket = seqpacket()?;
        net::bind(&socket, &address)?;
        chown(path, None, group)?;
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
        net::listen(&socket, BACKLOG)?;
        UnixListener::from_std(socket.into())
    };
    made().map_err(|source| ListenError::Io { path: path.to_owned(), source })
}

/// Takes a listening socket that systemd made.
///
/// # Errors
/// [`ListenError::WrongKind`]. To be called in a tokio runtime.
pub fn adopt(socket: OwnedFd) -> Result<UnixListener, ListenError> {
    let listens = sockopt::socket_acceptconn(&socket).unwrap_or(false);
    let kind = sockopt::socket_type(&socket).ok();
    let family = sockopt::socket_domain(&socket).ok();
    if !listens || kind != Some(SocketType::SEQPACKET) || family != Some(AddressFamily::UNIX) {
        return Err(ListenError::WrongKind);
    }
    let made = || {
        let listener = std::os::unix::net::UnixListener::from(socket);
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    };
    made().map_err(|source| ListenError::Io { path: PathBuf::new(), source })
}

fn seqpacket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Removes the socket of a sandbox that is gone: one that takes no connection.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(there) if !there.file_type().is_socket() => return Err(ListenError::NoSocket(path.to_owned())),
        Ok(_) => {}
    }
    let connects = || net::connect(seqpacket()?, &SocketAddrUnix::new(path)?).map_err(io::Error::from);
    match connects() {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(failed(error)),
        _ => Err(ListenError::InUse(path.to_owned())),
    }
}
