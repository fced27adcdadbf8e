//! Secrets of modules that modules never see (protocol, section 7).

mod credentials;
mod kept;
mod oauth;

pub use credentials::{Credentials, CredentialsError, NoCredentials};
pub use oauth::{OAuth, OAuthParts, Providers};
