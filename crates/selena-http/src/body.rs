//! Reading bodies and parameters, with the limits of section 5.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::StatusCode,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use selena_core::identity::Caller;
use selena_types::{Problems, json};
use serde_json::Value;

use crate::error::Failure;

/// Largest body in bytes, installs apart.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The JSON of a body: at most 1 MiB, at most 32 levels deep.
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Failure;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Failure> {
        let caller = request.extensions().get::<Caller>().cloned();
        let text = read(request.into_body()).await?;
        if let Some(caller) = caller {
            caller.count_bytes(text.len())?;
        }
        match json::parse(&text) {
            Ok(value) => Ok(Self(value)),
            Err(error) => Err(Problems::one(["body".into()], "json_invalid", error.to_string()).into()),
        }
    }
}

/// The text of a body: at most 1 MiB.
#[derive(Debug)]
pub(crate) struct TextBody(pub(crate) String);

impl<S: Send + Sync> FromRequest<S> for TextBody {
    type Rejection = Failure;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Failure> {
        let text = read(request.into_body()).await?;
        match String::from_utf8(text.into()) {
            Ok(text) => Ok(Self(text)),
            Err(_) => Err(Problems::one(["body".into()], "text_invalid", "must be UTF-8").into()),
        }
    }
}

async fn read(body: Body) -> Result<bytes::Bytes, Failure> {
    let too_large = || {
        let detail = format!("a body is at most {MAX_BODY_BYTES} bytes");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    };
    let cut = || Failure::new(StatusCode::REQUEST_TIMEOUT, "body_cut", "the body did not arrive whole");
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) | Err(_) => Err(cut()),
    }
}

/// The parameters of a query, each checked where it is read.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// A parameter that is given; an empty one is not.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A parameter its own type reads.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str, must: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Problems::one(["query".into(), name.into()], "query_invalid", must).into()),
        }
    }

    /// `limit`: 1 to the largest page, which is also the default.
    pub(crate) fn limit(&self) -> Result<usize, Failure> {
        let must = format!("must be a whole number from 1 to {}", selena_core::MAX_PAGE);
        match self.parsed("limit", &must)? {
            None => Ok(selena_core::MAX_PAGE),
            Some(limit) if (1..=selena_core::MAX_PAGE).contains(&limit) => Ok(limit),
            Some(_) => Err(Problems::one(["query".into(), "limit".into()], "query_invalid", must).into()),
        }
    }
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Parameters {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, Failure> {
        let query = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let pairs = query.map_err(|error| Problems::one(["query".into()], "query_invalid", error.to_string()))?;
        Ok(Self::new(pairs.0))
    }
}

/// The part of a path that names a thing. One that is not UTF-8 names nothing.
#[derive(Debug)]
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Segment {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, Failure> {
        // A route without a variable part: the thing bears the name that the path ends in.
        let last = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
        let named = axum::extract::RawPathParams::from_request_parts(parts, state).await;
        let named = named.map_err(|_not_utf8| selena_core::ApiError::NotFound("thing of this name"))?;
        Ok(Self(named.iter().next().map_or(last, |(_, value)| value.to_owned())))
    }
}
