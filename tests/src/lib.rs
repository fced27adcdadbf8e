//! A harness for black-box tests: it starts whole hubs and speaks to them through their public doors only.
//!
//! Every test has a hub of its own, with its own data and its own prefix in Docker, and leaves nothing behind.
//! A test that cannot run, without root or without Docker, fails and says so; none is skipped.
//! It knows the protocol and nothing of the hub's crates, but for the one that describes the format of backups.

pub mod agent;
pub mod booted;
pub mod debian;
pub mod desk;
pub mod engine;
pub mod gate;
mod hearing;
pub mod host_devices;
pub mod http;
pub mod hub;
pub mod image;
pub mod machine;
pub mod module;
mod namespace;
mod orphans;
pub mod outside;
pub mod own_engine;
pub mod package;
mod processes;
mod programs;
pub mod receiver;
pub mod restores;
pub mod search;
pub mod signature;
pub mod stalling_engine;
mod start;
pub mod transactions;
pub mod wait;
pub mod walk;

pub use agent::Agent;
pub use booted::Machine;
pub use desk::{Desk, Ran};
pub use engine::Engine;
pub use http::{Answer, Client, Door};
pub use hub::Hub;
pub use image::Image;
pub use module::Module;
pub use outside::Outside;
pub use package::Package;
pub use processes::{CORE_USER, unprivileged};
pub use receiver::{Receiver, Reply, Webhook};
pub use start::Options;
