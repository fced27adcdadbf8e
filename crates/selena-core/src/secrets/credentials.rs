//! Where the tokens come from that the hub sends in a module's name (protocol, section 7).

use std::fmt;

use futures_util::future::BoxFuture;
use selena_types::{ModuleName, OAuthProvider, Secret};

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Nobody has connected this provider for this module, or what was given is no longer good.
    #[error("this module has no credentials for this provider")]
    None,
    /// There is one, but it cannot be read or refreshed now.
    #[error("the credentials cannot be used now: {0}")]
    Unavailable(
        /// Why, for people; it holds nothing of the token.
        String,
    ),
}

/// The access tokens of modules, by provider.
pub trait Credentials: fmt::Debug + Send + Sync + 'static {
    /// A token that is valid now, refreshed before if it had to be. It is given only if it was granted for the provider
    /// as `config`, the manifest of whoever asks, describes it: an update may lead elsewhere.
    ///
    /// # Errors
    /// [`CredentialsError`].
    fn access_token<'a>(
        &'a self,
        module: &'a ModuleName,
        provider: &'a str,
        config: &'a OAuthProvider,
    ) -> BoxFuture<'a, Result<Secret, CredentialsError>>;
}

/// The credentials of a hub that keeps none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

impl Credentials for NoCredentials {
    fn access_token<'a>(
        &'a self,
        _module: &'a ModuleName,
        _provider: &'a str,
        _config: &'a OAuthProvider,
    ) -> BoxFuture<'a, Result<Secret, CredentialsError>> {
        Box::pin(async { Err(CredentialsError::None) })
    }
}
