//! Secrets of modules that modules never see (protocol, section 7).

mod credentials;

pub use credentials::{Credentials, CredentialsError, NoCredentials};
