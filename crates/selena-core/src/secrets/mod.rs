//! Secrets of modules that modules never see (protocol, section 7).

mod answer;
mod credentials;
mod egress;
mod kept;
pub(crate) use kept::Kept;
mod oauth;
mod request;
mod slots;

pub use credentials::{Credentials, CredentialsError, NoCredentials};
pub use oauth::{OAuth, OAuthParts, Providers};
pub(crate) use request::ProxyRequest;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use selena_types::{OAuthProvider, Secret};
use tokio::time::{Instant, timeout_at};

use crate::{
    ApiError,
    audit::Audit,
    error::chain,
    identity::{Caller, ModuleRun},
    ports::{Https, HttpsError, HttpsRequest, HttpsUrl},
};
use answer::ProxyAnswer;
use egress::Egress;
use slots::Slots;

/// How long a request outside may take in all.
const DEADLINE: Duration = Duration::from_secs(10);
/// Largest body of an answer from outside.
const MAX_ANSWER_BYTES: usize = 5 * 1024 * 1024;

/// What the hub does with tokens in a module's name.
#[derive(Debug)]
pub struct Secrets {
    https: Arc<dyn Https>,
    credentials: Arc<dyn Credentials>,
    slots: Slots,
}

impl Secrets {
    /// Over a way outside, with the tokens that may be sent there.
    #[must_use]
    pub fn new(https: Arc<dyn Https>, credentials: Arc<dyn Credentials>) -> Self {
        Self { https, credentials, slots: Slots::default() }
    }

    /// Sends a module's request to one of the provider's hosts, with its token. Gives `{"status_code","headers","body"}`;
    /// the place of the request is free again when these bytes are dropped.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] with `proxy_<reason>`, [`ApiError::NoCredentials`], [`ApiError::TooManyAtOnce`], or
    /// [`ApiError::Upstream`].
    pub(crate) async fn proxy(&self, audit: &Audit, caller: &Caller, request: ProxyRequest) -> Result<Bytes, ApiError> {
        // The development token has no manifest, so no provider, and nothing it could have been given a token for.
        let Caller::Module(run) = caller else { return Err(ApiError::NoCredentials(request.provider)) };
        let (config, url) = allowed(run, &request)?;
        let Some(slot) = self.slots.take(&run.name) else {
            return Err(ApiError::TooManyAtOnce("8 requests of this module run already: wait for one of them"));
        };
        let end = Instant::now() + DEADLINE;
        let provider = request.provider.clone();
        let token = self.token(run, &provider, config, end).await?;
        let mut egress = Egress::begin(audit, run, format!("{provider} {}", url.authority()));
        let outcome = self.https.send(outgoing(request, &token, end)).await;
        egress.outcome =
            outcome.as_ref().map_or_else(|error| code(error).to_owned(), |answer| answer.status.to_string());
        let answer = ProxyAnswer::new(outcome.map_err(|error| told(&error))?, &token);
        if answer.held_token {
            egress.token_came_back();
        }
        let rendered = serde_json::to_vec(&answer).map_err(ApiError::internal)?;
        Ok(Bytes::from_owner(slot.holding(rendered)))
    }

    async fn token(
        &self,
        run: &ModuleRun,
        provider: &str,
        config: &OAuthProvider,
        end: Instant,
    ) -> Result<Secret, ApiError> {
        let unavailable = |detail| ApiError::Upstream { code: "credentials_unavailable", detail };
        match timeout_at(end, self.credentials.access_token(&run.name, provider, config)).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(CredentialsError::None)) => Err(ApiError::NoCredentials(provider.to_owned())),
            Ok(Err(error @ CredentialsError::Unavailable(_))) => Err(unavailable(error.to_string())),
            Err(_) => {
                let detail = format!("`{provider}` did not renew the credentials in time");
                Err(ApiError::Upstream { code: "upstream_timeout", detail })
            }
        }
    }
}

/// The provider and the URL, if the run's manifest lets the provider's token go there.
fn allowed<'a>(run: &'a ModuleRun, request: &ProxyRequest) -> Result<(&'a OAuthProvider, HttpsUrl), ApiError> {
    let forbidden = |code, detail| Err(ApiError::Forbidden { code, detail });
    let Some(provider) = run.oauth.get(&request.provider) else {
        return forbidden("proxy_provider", "the manifest names no such provider in `oauth`".to_owned());
    };
    let url = HttpsUrl::parse(&request.url).map_err(|error| told(&error))?;
    if provider.api_hosts.contains(&url.authority()) {
        return Ok((provider, url));
    }
    let is_host = |listed: &String| listed.split(':').next() == Some(url.host());
    let code = if provider.api_hosts.iter().any(is_host) { "proxy_port" } else { "proxy_host" };
    forbidden(code, format!("`{}` is none of the provider's `api_hosts`", url.authority()))
}

fn outgoing(request: ProxyRequest, token: &Secret, end: Instant) -> HttpsRequest {
    let ProxyRequest { url, method, mut headers, body, .. } = request;
    headers.push(("authorization".to_owned(), format!("Bearer {}", token.expose())));
    HttpsRequest {
        method: method.to_owned(),
        url,
        headers,
        body,
        timeout: end.saturating_duration_since(Instant::now()),
        max_answer_bytes: MAX_ANSWER_BYTES,
    }
}

/// The machine's word for what went wrong outside.
fn code(error: &HttpsError) -> &'static str {
    match error {
        HttpsError::Refused { reason, .. } => match *reason {
            "scheme" => "proxy_scheme",
            "host" => "proxy_host",
            "port" => "proxy_port",
            "address" => "proxy_address",
            "method" => "proxy_method",
            "header" => "proxy_header",
            _ => "proxy_url",
        },
        HttpsError::Connect { .. } => "upstream_unreachable",
        HttpsError::Broken { .. } => "upstream_broken",
        HttpsError::TooLarge { .. } => "upstream_too_large",
        HttpsError::Timeout { .. } => "upstream_timeout",
    }
}

fn told(error: &HttpsError) -> ApiError {
    let (code, detail) = (code(error), chain(error));
    match error {
        HttpsError::Refused { .. } => ApiError::Forbidden { code, detail },
        _ => ApiError::Upstream { code, detail },
    }
}
