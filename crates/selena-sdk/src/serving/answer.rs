//! Answers of the module.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderValue},
};
use serde_json::{Value, json};

/// An answer of the module.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

impl Answer {
    /// 200 `{"status":"ok"}`.
    pub(crate) fn ok() -> Self {
        Self::json(StatusCode::OK, &json!({ "status": "ok" }))
    }

    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self { status, content_type: "application/json", body: body.to_string().into() }
    }

    pub(crate) fn refusal(status: StatusCode, detail: &str) -> Self {
        Self::json(status, &json!({ "detail": detail }))
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}
