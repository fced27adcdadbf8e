//! Why the hub did not do what was asked.

use std::{fmt, io, time::Duration};

use hyper::{HeaderMap, StatusCode, header};
use serde_json::Value;

/// Why a call of the hub brought no result; `attempted` is its method and path. It never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The hub takes no connections: nothing was done.
    #[error("the hub takes no connections: {attempted} was not asked")]
    Unreachable {
        /// Method and path.
        attempted: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The connection broke: it may have been done or not.
    #[error("the connection to the hub broke during {attempted}")]
    Broken {
        /// Method and path.
        attempted: String,
        /// What broke.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer took too long: it may have been done or not.
    #[error("the hub did not answer {attempted} in time")]
    Timeout {
        /// Method and path.
        attempted: String,
    },
    /// The hub said no (protocol, section 5).
    #[error("the hub refused {attempted}: {refusal}")]
    Refused {
        /// Method and path.
        attempted: String,
        /// What it said.
        refusal: Box<Refusal>,
    },
    /// The hub said yes, and then something the protocol does not know.
    #[error("the hub's answer to {attempted} is not what the protocol says")]
    Unreadable {
        /// Method and path.
        attempted: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// What was asked for cannot be written down as a request.
    #[error("{attempted} is no request: {why}")]
    Malformed {
        /// Method and path.
        attempted: String,
        /// Why not.
        why: String,
    },
}

/// A refusal: status and the body `{"detail","code"}` (protocol, section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status, such as 403.
    pub status: u16,
    /// The machine's word, such as `permission_denied`; empty if the hub gave none.
    pub code: String,
    /// For people. The problems of a 422 are joined by `; `.
    pub detail: String,
    /// When to try again, if the hub says so.
    pub retry_after: Option<Duration>,
    /// The answer's `X-Request-Id`, by which the hub's journal knows it.
    pub request_id: String,
}

impl HubError {
    /// What the hub said, if it is a refusal.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// The status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.refusal().map(|refusal| refusal.status)
    }

    /// The machine's word of a refusal.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.refusal().map(|refusal| refusal.code.as_str())
    }

    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Timeout { .. } => true,
            Self::Refused { refusal, .. } => matches!(refusal.status, 429 | 502 | 503 | 504),
            Self::Unreadable { .. } | Self::Malformed { .. } => false,
        }
    }

    /// Whether the call may be made again without doing something twice: always if it is idempotent,
    /// else only if the hub cannot have done it.
    pub(crate) fn may_repeat(&self, idempotent: bool) -> bool {
        let not_done = matches!(self, Self::Unreachable { .. }) || self.status() == Some(429);
        self.is_passing() && (idempotent || not_done)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} (request {})", self.status, self.code, self.detail, self.request_id)
    }
}

impl Refusal {
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        Self {
            status: status.as_u16(),
            code: body["code"].as_str().unwrap_or_default().to_owned(),
            detail: detail(&body["detail"]),
            retry_after: text(header::RETRY_AFTER.as_str()).parse().ok().map(Duration::from_secs),
            request_id: text("x-request-id").to_owned(),
        }
    }
}

/// The text of `detail`; of a list of problems each with its place.
fn detail(detail: &Value) -> String {
    let problem = |problem: &Value| {
        let parts = problem["loc"].as_array().into_iter().flatten();
        let place: Vec<_> = parts.map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
        format!("{}: {}", place.join("."), problem["msg"].as_str().unwrap_or("invalid"))
    };
    match detail {
        Value::String(text) => text.clone(),
        Value::Array(problems) => problems.iter().map(problem).collect::<Vec<_>>().join("; "),
        Value::Null => "no reason given".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_with_their_place() {
        let body =
            br#"{"code":"validation_error","detail":[{"loc":["body","name"],"msg":"is missing","type":"missing"},
            {"loc":["body","event_types",0],"msg":"must be a text","type":"string_type"}]}"#;
        let refusal = Refusal::read(StatusCode::UNPROCESSABLE_ENTITY, &HeaderMap::new(), body);
        assert_eq!(refusal.detail, "body.name: is missing; body.event_types.0: must be a text");
        assert_eq!((refusal.status, refusal.code.as_str()), (422, "validation_error"));
    }

    #[test]
    fn any_body_is_some_refusal() {
        for body in [&b""[..], b"<html>", b"[]", br#"{"detail":null}"#] {
            let refusal = Refusal::read(StatusCode::BAD_GATEWAY, &HeaderMap::new(), body);
            assert_eq!((refusal.code.as_str(), refusal.detail.as_str()), ("", "no reason given"));
        }
    }

    #[test]
    fn only_what_was_not_done_is_repeated_blindly() {
        let attempted = String::from("POST /devices");
        let refused = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            let refusal = Box::new(Refusal::read(status, &HeaderMap::new(), b""));
            HubError::Refused { attempted: attempted.clone(), refusal }
        };
        let unreachable = HubError::Unreachable { attempted: attempted.clone(), source: io::Error::other("x") };
        let timeout = HubError::Timeout { attempted: attempted.clone() };
        for (error, once, idempotent) in [
            (refused(429), true, true),
            (unreachable, true, true),
            (refused(503), false, true),
            (timeout, false, true),
            (refused(403), false, false),
            (refused(500), false, false),
            (refused(409), false, false),
        ] {
            assert_eq!((error.may_repeat(false), error.may_repeat(true)), (once, idempotent), "{error}");
        }
    }
}
