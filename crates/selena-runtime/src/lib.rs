//! What every program of the hub does around its work: settings, log, word to systemd, signals, exit codes.
//!
//! Entry points, in the order a `main` needs them: [`Settings::load`] before any port is bound, [`journal::init`],
//! [`shutdown::listen`], [`notify::ready`], and [`exit::report`] with [`Exit`] at the end.
//! This crate knows nothing of modules, devices, HTTP or SQL, and depends on no other crate of the hub.

#![warn(missing_docs)]

pub mod agent_secret;
pub mod exit;
pub mod journal;
pub mod machine;
pub mod notify;
pub mod release;
pub mod settings;
pub mod shutdown;
pub mod sockets;
pub mod startup_code;

pub use exit::Exit;
pub use settings::{LogLevel, Settings, SettingsError};
