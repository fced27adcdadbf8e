//! The API over HTTP: what modules and people ask (protocol, section 5), and what the core asks modules (section 6).
//!
//! Entry points: [`Server`], which serves the API on listeners, and [`Client`], which calls modules.
//! Handlers extract, call one function of the core, and shape the answer. This crate knows nothing of SQL and of Docker,
//! and decides nothing: who may do what stands in `selena-core`.

mod body;
mod client;
mod context;
mod egress;
mod error;
mod guard;
mod intake;
mod openapi;
mod router;
mod routes;
mod server;
mod tarpit;
mod upload;

pub use client::Client;
pub use openapi::document as openapi;
pub use server::{Server, serve_admin};
