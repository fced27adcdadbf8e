//! Requests outside in a module's name (protocol, section 7).

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::Api;
use crate::{
    ApiError,
    identity::Caller,
    secrets::{ProxyRequest, Secrets},
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
}
