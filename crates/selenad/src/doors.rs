//! The listeners on the host: the API's port and the admin socket.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::Path,
};

use anyhow::{Context, bail};
use nix::{
    errno::Errno,
    sys::socket::{getsockopt, sockopt::AcceptConn},
    unistd::{Group, chown},
};
use tokio::net::UnixListener;

/// Who may use the admin socket besides root (protocol, "Words").
const ADMIN_GROUP: &str = "selena-admin";

/// The admin socket that systemd made, with the mode and the group of its unit, or one of the hub's own.
pub(crate) fn admin(passed: Option<OwnedFd>, path: &Path) -> anyhow::Result<UnixListener> {
    let Some(socket) = passed else { return bind_admin(path) };
    listens(&socket, "admin")?;
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.local_addr().context("the socket `admin` that was passed is no Unix socket")?;
    listener.set_nonblocking(true)?;
    Ok(UnixListener::from_std(listener)?)
}

/// The API's port that systemd made, or one of the hub's own.
pub(crate) fn api(passed: Option<OwnedFd>, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let Some(socket) = passed else { return bind_api(address) };
    listens(&socket, "api")?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().context("the socket `api` that was passed is no TCP socket")?;
    if !address.ip().is_loopback() {
        bail!("the socket `api` that was passed listens on {address}: the API listens on loopback addresses only");
    }
    Ok(listener)
}

fn listens(socket: &OwnedFd, name: &str) -> anyhow::Result<()> {
    if getsockopt(socket, AcceptConn).unwrap_or(false) {
        return Ok(());
    }
    bail!("the socket `{name}` that was passed does not listen")
}

/// Binds the admin socket: mode 0660, group `selena-admin` where there is one.
fn bind_admin(path: &Path) -> anyhow::Result<UnixListener> {
    let bind = || {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        // The lock of the data directory is held: a socket that lies here is of a hub that is gone.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        if let Ok(Some(group)) = Group::from_name(ADMIN_GROUP) {
            chown(path, None, Some(group.gid)).map_err(|error| match error {
                Errno::EPERM => io::Error::other(format!(
                    "the hub's user is not in the group `{ADMIN_GROUP}`: add it, or let systemd pass the socket `admin`"
                )),
                error => error.into(),
            })?;
        }
        Ok(listener)
    };
    bind().with_context(|| format!("cannot open the admin socket `{}`", path.display()))
}

/// Binds the API's port.
fn bind_api(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}: does another hub run?"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_port_that_was_passed_is_taken_if_it_listens_on_loopback() {
        let unused = "127.0.0.1:1".parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("a port");
        let taken = api(Some(listener.into()), unused).expect("it is one");
        assert_eq!(taken.local_addr().expect("a port"), address);
        let open = TcpListener::bind("0.0.0.0:0").expect("a port");
        assert!(api(Some(open.into()), unused).expect_err("it is open to the house").to_string().contains("loopback"));
        let other = UnixDatagram::unbound().expect("a socket");
        assert!(api(Some(other.into()), unused).expect_err("it is none").to_string().contains("does not listen"));
    }

    #[tokio::test]
    async fn an_admin_socket_that_was_passed_is_taken_if_it_is_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("admin.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let taken = admin(Some(listener.into()), Path::new("/nowhere")).expect("it is one");
        assert_eq!(taken.local_addr().expect("a socket").as_pathname(), Some(path.as_path()));
        let port = TcpListener::bind("127.0.0.1:0").expect("a port");
        assert!(admin(Some(port.into()), Path::new("/nowhere")).is_err(), "a port is no admin socket");
    }
}
