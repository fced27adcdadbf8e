//! Requests outside in a module's name (protocol, section 7).

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use selena_types::{ModuleName, OAuthProvider};
use serde_json::Value;

use super::Api;
use crate::{
    ApiError,
    identity::Caller,
    secrets::{OAuth, ProxyRequest, Secrets},
};

impl Api {
    /// Lets modules use the secrets that are kept for them. An API without, as a trial's, has no credentials and sends nothing.
    ///
    /// # Panics
    /// If it is done twice.
    pub fn set_secrets(&self, secrets: Arc<Secrets>) {
        self.secrets.set(secrets).expect("the secrets are set once, at start");
    }

    /// `POST /secrets/proxy`: `{"status_code","headers","body"}`, rendered. The request counts as running until these
    /// bytes are dropped.
    ///
    /// # Errors
    /// [`ApiError::Invalid`]; [`ApiError::Forbidden`] with `proxy_<reason>`; [`ApiError::NoCredentials`];
    /// [`ApiError::TooManyAtOnce`]; [`ApiError::Upstream`].
    pub async fn secrets_proxy(&self, caller: &Caller, body: &Value) -> Result<Bytes, ApiError> {
        let request = ProxyRequest::parse(body)?;
        match self.secrets.get() {
            Some(secrets) => secrets.proxy(&self.audit, caller, request).await,
            None => Err(ApiError::NoCredentials(request.provider)),
        }
    }

    /// Lets modules sign in to providers. An API without, as a trial's, sends nothing outside.
    ///
    /// # Panics
    /// If it is done twice.
    pub fn set_oauth(&self, oauth: Arc<OAuth>) {
        self.oauth.set(oauth).expect("signing in is set once, at start");
    }

    pub(crate) fn oauth(&self) -> Option<&Arc<OAuth>> {
        self.oauth.get()
    }

    /// `POST /secrets/oauth/start`: `{"device_code","user_code","verification_url",…}`.
    ///
    /// # Errors
    /// As [`OAuth::start`]; [`ApiError::Unavailable`] in a trial, where nothing is sent outside.
    pub async fn oauth_start(&self, caller: &Caller, body: &Value) -> Result<Value, ApiError> {
        let (module, providers) = signing_in(caller);
        let oauth = self.oauth().ok_or(ApiError::Unavailable("signing in to a provider"))?;
        oauth.start(&module, &providers, body).await
    }

    /// `GET /secrets/oauth/status`: `{"provider","status","session_id"}`.
    ///
    /// # Errors
    /// As [`OAuth::status`]; [`ApiError::Unavailable`] in a trial.
    pub fn oauth_status(&self, caller: &Caller, provider: &str) -> Result<Value, ApiError> {
        let (module, providers) = signing_in(caller);
        let oauth = self.oauth().ok_or(ApiError::Unavailable("signing in to a provider"))?;
        oauth.status(&module, &providers, provider)
    }
}

/// Who signs in, and to which providers; the development token has no manifest, so no provider.
fn signing_in(caller: &Caller) -> (ModuleName, BTreeMap<String, OAuthProvider>) {
    match caller {
        Caller::Module(run) => (run.name.clone(), run.oauth.clone()),
        _ => (ModuleName::development(), BTreeMap::new()),
    }
}
