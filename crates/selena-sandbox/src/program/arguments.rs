//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// The sandbox of a Selena hub: containers and network namespaces for the core, which has no right of its own.
#[derive(Debug, Parser)]
#[command(name = "selena-sandbox", version, about)]
pub(crate) struct Arguments {
    /// The settings file, the same as the core's.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The core's data directory; overrides the setting `core_data_dir`.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// What the sandbox keeps for itself; overrides the setting `sandbox_dir`.
    #[arg(long, value_name = "DIR")]
    pub(crate) sandbox_dir: Option<PathBuf>,
    /// The socket for the core, unless systemd passes one named `sandbox`; overrides the setting `sandbox_socket`.
    #[arg(long, value_name = "SOCKET")]
    pub(crate) socket: Option<PathBuf>,
    /// Name or number of the core's user; overrides the setting `core_user`.
    #[arg(long, value_name = "USER")]
    pub(crate) core_user: Option<String>,
    /// Docker's socket.
    #[arg(long, value_name = "SOCKET", default_value = "/var/run/docker.sock")]
    pub(crate) docker_socket: PathBuf,
    /// The hub's static init for containers.
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/selena/selena-init")]
    pub(crate) init: PathBuf,
    /// For development: root may connect too. Refused on a released image.
    #[arg(long)]
    pub(crate) dev: bool,
    /// Put before the names of containers and images, so that two hubs can share one Docker.
    #[arg(long, value_name = "TEXT", default_value = "", requires = "dev")]
    pub(crate) name_prefix: String,
    /// Where the kernel says what a device is, for tests that bring devices of their own.
    #[arg(long, value_name = "DIR", default_value = "/sys", requires = "dev", hide = true)]
    pub(crate) sysfs: PathBuf,
}
