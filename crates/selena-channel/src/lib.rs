//! The socket between the core, which parses what strangers send, and the sandbox, which holds the power.
//!
//! Entry points: [`RemoteSandbox`] is the core's port `Sandbox` over the socket; [`Server`] offers any `Sandbox` on it,
//! behind a [`Gate`] that confines what a core may ask for. [`listen`] makes the socket, [`adopt`] takes systemd's.
//!
//! It is a Unix socket of type `SOCK_SEQPACKET`: one message is one packet of at most [`MAX_PACKET_BYTES`], descriptors
//! travel beside it (`SCM_RIGHTS`), and what is long (logs, lists, a module's image) travels as a descriptor. A handshake
//! comes first. Many calls are under way at once and are answered in any order; a call has a time limit and can be
//! cancelled. Messages are in the encoding of bincode with fixed-width integers; enum tags are u32.
//!
//! This crate knows nothing of Docker and of namespaces, and takes nothing it reads for true before it is parsed.

#![warn(missing_docs)]

mod big;
mod client;
mod codec;
mod failure;
mod hello;
mod listener;
mod message;
mod packet;
mod request;
mod server;
mod state;
#[cfg(test)]
mod tests;

pub use client::{Counts, RemoteSandbox};
pub use hello::{Rejection, VERSION};
pub use listener::{ListenError, adopt, listen};
pub use packet::MAX_PACKET_BYTES;
pub use request::Request;
pub use server::{AllowedPeer, Gate, Refusal, Server, Tally};
