//! Secrets at rest (protocol, section 7): sealed with AES-256-GCM under a key that lies in the secure directory;
//! and the guarded way outside for the requests that bear them.
//!
//! Entry points: [`FileKeySealer::open_or_create`], which implements the core's `Sealer`, and [`GuardedHttps`], its `Https`.
//! Of the hub's crates it depends on `selena-core` only, and it knows nothing of what the secrets are for.

#![warn(missing_docs)]

mod https;
mod key_file;
mod sealer;

pub use https::{CaFileError, GuardedHttps};
pub use key_file::KeyFileError;
pub use sealer::FileKeySealer;
