//! One call of the hub's API, made again while that may help.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    header::{self, HeaderValue},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Hub, HubError, Refusal,
    connection::{Answer, NoAnswer},
};

/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    /// Path below the API's beginning, with the query.
    path: String,
    body: Option<Bytes>,
    idempotent: bool,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        // PATCH replaces a device's state as a whole, so twice is once (protocol, section 5).
        let idempotent = method != Method::POST;
        Self { method, path: path.into(), body: None, idempotent }
    }

    pub(crate) fn body(self, body: &Value) -> Self {
        Self { body: Some(body.to_string().into()), ..self }
    }

    /// A POST that replaces what the one before did.
    pub(crate) fn idempotent(self) -> Self {
        Self { idempotent: true, ..self }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Hub {
    /// Makes a call and reads its answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, HubError> {
        let body = self.answer(&call).await?;
        serde_json::from_slice(&body).map_err(|source| HubError::Unreadable { attempted: call.to_string(), source })
    }

    /// Makes a call whose answer says nothing.
    pub(crate) async fn tell(&self, call: Call) -> Result<(), HubError> {
        self.answer(&call).await.map(|_| ())
    }

    /// Makes a call again, with growing pauses, while the hub is away or busy, as long as the module is patient.
    async fn answer(&self, call: &Call) -> Result<Bytes, HubError> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut repeated = false;
        loop {
            let error = match self.attempt(call).await {
                Ok(body) => return Ok(body),
                // The attempt before did it, though its answer was lost.
                Err(error) if repeated && call.method == Method::DELETE && error.status() == Some(404) => {
                    return Ok(Bytes::new());
                }
                Err(error) => error,
            };
            let asked = error.refusal().and_then(|refusal| refusal.retry_after).unwrap_or_default();
            let wait = pause.max(asked);
            if !error.may_repeat(call.idempotent) || begun.elapsed() + wait > self.patience() {
                return Err(error);
            }
            repeated = true;
            tokio::time::sleep(wait).await;
            pause = (2 * pause).min(LAST_PAUSE);
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Bytes, HubError> {
        let request = self.request(call)?;
        let attempted = || call.to_string();
        let answer = match tokio::time::timeout(ATTEMPT_TIMEOUT, self.connections().send(request)).await {
            Err(_elapsed) => return Err(HubError::Timeout { attempted: attempted() }),
            Ok(Err(NoAnswer::Unreachable(source))) => {
                self.was_lost();
                return Err(HubError::Unreachable { attempted: attempted(), source });
            }
            Ok(Err(NoAnswer::Broken(source))) => {
                self.was_lost();
                return Err(HubError::Broken { attempted: attempted(), source });
            }
            Ok(Ok(answer)) => answer,
        };
        self.is_back();
        let Answer { status, headers, body } = answer;
        if status.is_success() && status != StatusCode::ACCEPTED {
            return Ok(body);
        }
        let refusal = Box::new(Refusal::read(status, &headers, &body));
        Err(HubError::Refused { attempted: attempted(), refusal })
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, HubError> {
        let malformed = |why: String| HubError::Malformed { attempted: call.to_string(), why };
        let url = self.connections().url();
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", self.token().expose()))
            .map_err(|_| malformed("the token is no header".to_owned()))?;
        bearer.set_sensitive(true);
        let mut request = Request::builder()
            .method(&call.method)
            .uri(format!("{}{}", url.base_path, call.path))
            .header(header::HOST, &url.authority)
            .header(header::AUTHORIZATION, bearer)
            .header("x-request-id", self.next_request_id());
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(call.body.clone().unwrap_or_default())).map_err(|error| malformed(error.to_string()))
    }
}
