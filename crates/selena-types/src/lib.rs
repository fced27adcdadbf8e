//! Words of the hub: names, ids, the manifest, permissions, events and the bodies of the API.
//!
//! Every type here refuses a bad value when it is made, so nothing behind it checks again.
//! Entry points: [`Manifest::parse`] for packages, [`fields::Object`] for request bodies.
//! This crate knows nothing of IO, of async code, of SQL and of HTTP.

mod audit;
mod device;
mod event;
mod event_type;
pub mod fields;
pub mod json;
mod manifest;
mod module;
mod name;
mod permission;
mod port;
mod problem;
mod secret;
mod trust;

pub use audit::AuditRecord;
pub use device::{Device, DeviceId, DeviceKind, NewDevice, StateAt};
pub use event::Event;
pub use event_type::{EventPattern, EventType, EventTypeError};
pub use manifest::{
    EgressRule, Manifest, ManifestEvents, OAuthProvider, ParsedManifest, ResourceLimits, Resources, Schedule, Ui,
    WidgetSize, is_device_path,
};
pub use module::{ModuleState, ModuleType, Runtime, RuntimeMode, Transport, UiProfile};
pub use name::{ModuleName, ModuleNameError};
pub use permission::{Permission, UnknownPermission};
pub use port::{ModulePort, ModulePortError};
pub use problem::{Loc, Problem, Problems};
pub use secret::{Secret, TokenHash};
pub use trust::{TrustLevel, UnknownTrustLevel};
