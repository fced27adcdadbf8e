//! Containers of modules, by Docker, and sockets in their network namespaces: the core's port `Sandbox`.
//!
//! Entry point: [`DockerSandbox::new`] with a [`SandboxConfig`].
//! Starting a container: the image, the data volume, the container, its start, the hub's listener in its namespace.
//! One task follows the engine's events and is the only one that says whether the engine answers and which runs ended.
//!
//! This crate knows nothing of HTTP towards modules, of tokens and of SQL. It holds no secret: a module's environment
//! passes only through the listener. No thread of an async runtime ever enters a foreign namespace.

mod attaching;
mod beneath;
mod cgroup;
mod cleanup;
mod commands;
mod config;
mod confinement;
mod container;
mod data_image;
mod disk_use;
mod engine;
mod failure;
mod granted;
mod host_devices;
mod images;
mod logs;
mod loop_device;
mod loop_ioctl;
mod namespace;
mod package;
mod passwd;
mod placing;
mod runs;
mod sandbox;
mod seccomp;
mod sockets;
mod start;
mod supervisor;
mod tar_guard;
mod usage;
mod validation;
mod volume_fill;
mod volume_mount;
mod volume_read;
mod volumes;

pub use config::SandboxConfig;
pub use confinement::Confinement;
pub use sandbox::DockerSandbox;
