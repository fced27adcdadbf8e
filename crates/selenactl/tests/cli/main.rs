//! The real `selenactl`: against a small hub on a real socket, on real directories, with real processes.

mod author;
mod dev;
mod directory;
mod fake_hub;
mod hub;
mod modules;
mod packages;
mod publishers;
mod scaffold;
mod settings;
mod sign;
