//! Requests to a provider: forms by POST, the client's secret among the fields (RFC 6749, section 2.3.1).

use std::time::Duration;

use selena_types::OAuthProvider;
use url::form_urlencoded::Serializer;

use crate::ports::{Https, HttpsAnswer, HttpsError, HttpsRequest};

/// How long a provider may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of a provider's answer; two tokens of the largest size fit in many times.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Sends a form in the client's name.
pub(super) async fn send(
    https: &dyn Https,
    provider: &OAuthProvider,
    url: &str,
    fields: &[(&str, &str)],
) -> Result<HttpsAnswer, HttpsError> {
    let form = {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(fields).append_pair("client_id", &provider.client_id);
        if let Some(secret) = &provider.client_secret {
            form.append_pair("client_secret", secret);
        }
        form.finish()
    };
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
    let request = HttpsRequest {
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: form.into_bytes(),
        timeout: TIMEOUT,
        max_answer_bytes: MAX_ANSWER_BYTES,
    };
    https.send(request).await
}

/// Asks the token endpoint whether the person has agreed (RFC 8628, section 3.4).
pub(super) async fn redeem(
    https: &dyn Https,
    provider: &OAuthProvider,
    device_code: &str,
) -> Result<HttpsAnswer, HttpsError> {
    let grant_type = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    send(https, provider, &provider.token_url, &[grant_type, ("device_code", device_code)]).await
}

/// Asks the token endpoint for a new access token (RFC 6749, section 6).
pub(super) async fn refresh(
    https: &dyn Https,
    provider: &OAuthProvider,
    refresh_token: &str,
) -> Result<HttpsAnswer, HttpsError> {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    send(https, provider, &provider.token_url, &fields).await
}
