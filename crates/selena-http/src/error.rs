//! Errors as answers: `{"detail","code"}` (protocol, section 5).

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use selena_core::ApiError;
use serde_json::{Value, json};

/// The code of a refused request, for the audit log: it travels with the answer to where the caller is known.
#[derive(Clone, Debug)]
pub(crate) struct RefusalCode(pub(crate) String);

/// Marks the answer to a request of a flood, which is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfFlood;

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The core's.
    Api(ApiError),
    /// Of HTTP itself.
    Http(StatusCode, &'static str, String),
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Http(status, code, detail.into())
    }
}

/// A failure as it is told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) header: Option<(HeaderName, &'static str)>,
}

impl Failure {
    /// What the client is told; what failed inside is told to the journal.
    pub(crate) fn told(&self) -> Told {
        match self {
            Self::Http(status, code, detail) => {
                Told { status: *status, body: json!({ "detail": detail, "code": code }), header: None }
            }
            Self::Api(error) => {
                if matches!(error, ApiError::Internal(_)) {
                    tracing::error!(error = error as &dyn std::error::Error, "a request failed inside the hub");
                }
                Told { status: status(error), body: body(error), header: extra_header(error) }
            }
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<selena_types::Problems> for Failure {
    fn from(problems: selena_types::Problems) -> Self {
        Self::Api(problems.into())
    }
}

fn status(error: &ApiError) -> StatusCode {
    match error {
        ApiError::Unauthenticated => StatusCode::UNAUTHORIZED,
        ApiError::WrongNamespace | ApiError::PermissionMissing(_) | ApiError::Forbidden { .. } => StatusCode::FORBIDDEN,
        ApiError::RateLimited | ApiError::Flooding | ApiError::TooManyAtOnce(_) => StatusCode::TOO_MANY_REQUESTS,
        ApiError::NotFound(_) | ApiError::NoCredentials(_) => StatusCode::NOT_FOUND,
        ApiError::Invalid(_) | ApiError::Unprocessable { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        ApiError::Conflict { .. } => StatusCode::CONFLICT,
        ApiError::JobStopped { code: "job_deadline", .. } => StatusCode::GATEWAY_TIMEOUT,
        ApiError::JobStopped { .. } => StatusCode::CONFLICT,
        ApiError::Gone => StatusCode::GONE,
        ApiError::TrialFailed { .. } | ApiError::Unhealthy { .. } | ApiError::Container { .. } => {
            StatusCode::BAD_REQUEST
        }
        ApiError::EngineDown(_) | ApiError::Unavailable(_) | ApiError::SafeMode => StatusCode::SERVICE_UNAVAILABLE,
        ApiError::Upstream { code: "module_timeout" | "upstream_timeout", .. } => StatusCode::GATEWAY_TIMEOUT,
        ApiError::Upstream { .. } => StatusCode::BAD_GATEWAY,
        ApiError::DiskFull | ApiError::NoRoom { .. } => StatusCode::INSUFFICIENT_STORAGE,
        ApiError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn body(error: &ApiError) -> Value {
    match error {
        ApiError::Invalid(problems) => {
            // A problem of a manifest has a code of its own, and then so has the answer.
            let manifest = problems.0.iter().find(|problem| problem.code.starts_with("manifest_"));
            json!({ "detail": problems, "code": manifest.map_or(error.code(), |problem| &problem.code) })
        }
        ApiError::TrialFailed { output, report, .. } => json!({
            "detail": error.to_string(), "code": error.code(), "sandbox_output": output, "report": report,
        }),
        ApiError::NoRoom { needed, free, promised, kept } => json!({
            "detail": error.to_string(), "code": error.code(), "needed_bytes": needed, "free_bytes": free,
            "promised_bytes": promised, "kept_free_bytes": kept,
        }),
        ApiError::SafeMode => json!({ "error": "SAFE_MODE", "detail": error.to_string(), "code": error.code() }),
        other => json!({ "detail": other.to_string(), "code": other.code() }),
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let of_flood = matches!(self, Self::Api(ApiError::Flooding));
        let Told { status, body, header } = self.told();
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        let mut response = (status, Json(body)).into_response();
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        if of_flood {
            response.extensions_mut().insert(OfFlood);
        }
        // What is not there was not refused; what failed inside is told in the journal.
        if !matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::INTERNAL_SERVER_ERROR) {
            response.extensions_mut().insert(RefusalCode(code));
        }
        response
    }
}

fn extra_header(error: &ApiError) -> Option<(HeaderName, &'static str)> {
    match error {
        ApiError::Unauthenticated => Some((header::WWW_AUTHENTICATE, "Bearer")),
        ApiError::RateLimited | ApiError::Flooding | ApiError::TooManyAtOnce(_) => Some((header::RETRY_AFTER, "1")),
        _ => None,
    }
}
