//! Secrets at rest (protocol, section 7): sealed with AES-256-GCM under a key that lies in the secure directory.
//!
//! Entry point: [`FileKeySealer::open_or_create`], which implements the core's `Sealer`.
//! Of the hub's crates it depends on `selena-core` only, and it knows nothing of what the secrets are for.

#![warn(missing_docs)]

mod key_file;
mod sealer;

pub use key_file::KeyFileError;
pub use sealer::FileKeySealer;
