//! Secrets at rest (protocol, section 7): sealed with AES-256-GCM under a key that lies in the secure directory;
//! and the guarded way outside for the requests that bear them.
//!
//! Entry points: [`FileKeySealer::open_or_create`], which implements the core's `Sealer`, [`FileKeySealer::vault`],
//! which implements its `Vault`, [`GuardedHttps`], its `Https`, and [`GuardedDial`], its `Dial`.
//! Of the hub's crates it depends on `selena-core` and `selena-types` only, and it knows nothing of what the secrets are for.

#![warn(missing_docs)]

mod files;
mod https;
mod key_file;
mod key_ring;
mod sealer;
mod secure_file;
mod token_file;

pub use files::FileVault;
pub use https::{CaFileError, GuardedDial, GuardedHttps};
pub use sealer::FileKeySealer;
pub use secure_file::SecureFileError;
pub use token_file::MAX_SECRET_BYTES;
