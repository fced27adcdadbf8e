//! The real `selenactl` against a small hub on a real Unix socket.

mod fake_hub;
mod hub;
mod modules;
