//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

/// The core daemon of a Selena hub.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// Run a whole hub for development, with everything under --data-dir.
    #[arg(long, requires = "data_dir")]
    pub(crate) dev: bool,
    /// Where the hub keeps its data; overrides the setting `core_data_dir`.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of the API on the host, loopback only; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// The settings file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Docker's socket.
    #[arg(long, value_name = "SOCKET", default_value = "/var/run/docker.sock")]
    pub(crate) docker_socket: PathBuf,
    /// The hub's static init for containers; by default that of the checkout, or /usr/lib/selena/selena-init.
    #[arg(long, value_name = "FILE")]
    pub(crate) init: Option<PathBuf>,
    /// The hub vendor's public key, for packages of type SYSTEM; by default /usr/lib/selena/vendor.pub, if it is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) vendor_key: Option<PathBuf>,
    /// Lift the limit of requests a second, for measurements.
    #[arg(long, requires = "dev")]
    pub(crate) no_rate_limit: bool,
    /// Put before the names of containers and images, so that two hubs can share one Docker.
    #[arg(long, value_name = "TEXT", default_value = "", requires = "dev")]
    pub(crate) name_prefix: String,
    /// Where the kernel says what a device is, for tests that bring devices of their own.
    #[arg(long, value_name = "DIR", default_value = "/sys", requires = "dev", hide = true)]
    pub(crate) sysfs: PathBuf,
    /// Make a new key for secrets at rest, and seal all of them again with it. What is cut goes on at the next start.
    #[arg(long)]
    pub(crate) new_key: bool,
    /// The hub started itself again, and listened here: for its own use.
    #[arg(long, value_name = "ADDRESS:PORT", overrides_with = "again", hide = true)]
    pub(crate) again: Option<SocketAddr>,
    /// Run core and sandbox in one process, as root; --dev does too.
    #[arg(long, conflicts_with = "sandbox_socket")]
    pub(crate) all_in_one: bool,
    /// Socket of the sandbox process; overrides the setting `sandbox_socket`. With --dev: two processes all the same.
    #[arg(long, value_name = "SOCKET")]
    pub(crate) sandbox_socket: Option<PathBuf>,
}
