//! Devices of the machine that modules are granted (protocol, section 3, row `devices`).
//!
//! A path belongs to one module for as long as that is installed, whether it runs or not: [`leases`].
//! A device number is in one running container at most: [`holds`]. What is plugged in and unplugged while modules run is
//! followed by [`hotplug`], as far as [`restarts`] allow.

mod holds;
mod hotplug;
mod leases;
mod restarts;
mod view;

pub(super) use holds::{DeviceHold, DeviceHolds};
pub(super) use restarts::DeviceRestarts;
