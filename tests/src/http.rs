//! A plain HTTP client, over TCP, over a Unix socket, and from inside a container's namespace.

mod answer;
mod client;
mod door;

pub use answer::{Answer, Lines};
pub use client::{Client, Request};
pub use door::Door;
