//! The listeners on the host: the API's port and the admin socket.

use std::{fs, io, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use anyhow::Context;
use nix::unistd::{Group, chown};
use tokio::net::UnixListener;

/// Who may use the admin socket besides root (protocol, "Words").
const ADMIN_GROUP: &str = "selena-admin";

/// Binds the admin socket: mode 0660, group `selena-admin` where there is one.
pub(crate) fn bind_admin(path: &Path) -> anyhow::Result<UnixListener> {
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
            chown(path, None, Some(group.gid))?;
        }
        Ok(listener)
    };
    bind().with_context(|| format!("cannot open the admin socket `{}`", path.display()))
}

/// Binds the API's port.
pub(crate) fn bind_api(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}: does another hub run?"))
}
