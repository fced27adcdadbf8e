//! Secrets at rest (protocol, section 7): sealed with AES-256-GCM under a key that lies in the secure directory.
//!
//! Entry points: [`FileKeySealer::open_or_create`], which implements the core's `Sealer`, and [`FileKeySealer::vault`],
//! which implements its `Vault`. Of the hub's crates it depends on `selena-core` and `selena-types` only,
//! and it knows nothing of what the secrets are for.

#![warn(missing_docs)]

mod files;
mod key_file;
mod key_ring;
mod sealer;
mod secure_file;
mod token_file;

pub use files::FileVault;
pub use sealer::FileKeySealer;
pub use secure_file::SecureFileError;
pub use token_file::MAX_SECRET_BYTES;
