//! What the hub decides.
pub mod identity;
pub mod modules;
pub mod ports;

/// The module API.
#[derive(Debug)]
pub struct Api {}
