//! What the hub decides: modules, devices, events, permissions.
//!
//! Entry points: [`Api`], the one door of both wires, [`Modules`], the life of installed modules, and
//! [`Secrets`], what the hub asks of hosts outside in a module's name.
//! What it needs from the world it declares in [`ports`]: it knows nothing of SQL, of Docker, of axum and of the page.

mod access;
mod api;
mod audit;
mod boot_clock;
mod delivery;
mod devices;
mod disk_space;
pub mod egress;
mod error;
pub mod hub_events;
mod hub_id;
pub mod identity;
pub mod integrity;
mod intents;
pub mod jobs;
mod modules;
pub mod ports;
mod presence;
mod publishers;
mod rate_limit;
mod secrets;
mod signature;
mod subscriptions;
mod token;
mod transact;
mod webhook_url;

pub use access::{Operation, Right, Rule, may_downgrade};
pub use api::{Api, Development, HubInfo, MAX_PAGE, may_see};
pub use boot_clock::BootTime;
pub use disk_space::allocated_bytes;
pub use error::{ApiError, chain};
pub use hub_id::hub_id;
pub use modules::{
    BackupParts, BackupProgress, BackupRequest, BackupStatus, BackupStream, BackupTask, CrashTime, Identity,
    InstallOrder, Installed, Intake, IntakeMode, Key, KeyError, Lock, Recipient, Restored, finish_hub_restore,
};
pub use modules::{
    Installing, LastUpdate, MemoryStore, ModuleRecord, Modules, ModulesConfig, ModulesParts, PreviousVersion, Progress,
    ScorePoint, TrialReport, Upload,
};
pub use publishers::{PublisherKey, PublisherName, PublisherNameError, Publishers, Revocation};
pub use secrets::{Credentials, CredentialsError, NoCredentials, OAuth, OAuthParts, Providers, Secrets};
pub use selena_signature::KeyId;
pub use subscriptions::Subscription;
pub use token::{NoRandomness, new_token};
