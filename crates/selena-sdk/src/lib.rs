//! The SDK for authors of Selena modules: devices, events, settings and pages, over HTTP on localhost.
//!
//! Entry points: [`Module`], the module itself, and [`Hub`], the hub as the module reaches it.
//! A module is one thread; it speaks to the hub its environment names and to nobody else.
//! This crate knows the wire and the words of the protocol, and nothing of the hub behind it.
//! `README.md` builds a whole module, from an empty directory to an installed package.
#![warn(missing_docs)]

mod core_url;
mod environment;
mod error;
mod hub;
mod journal;
mod module;
mod serving;
mod signature;

pub use environment::EnvironmentError;
pub use error::RunError;
pub use hub::{Device, Devices, Hub, HubError, NewDevice, Published, Refusal, Subscription};
pub use journal::log;
pub use module::Module;
pub use selena_types::{DeviceId, DeviceKind, Event, EventPattern, EventType, StateAt};
pub use serde_json::{Map, Value, json};
pub use signature::WebhookSecret;
pub use tokio;

/// What a module's own functions end with: any error will do.
pub type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
