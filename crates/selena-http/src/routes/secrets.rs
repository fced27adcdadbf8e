//! What the hub does with a module's secrets in its name (protocol, section 7).

use axum::{
    Extension, Json,
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use selena_core::identity::Caller;
use selena_types::Problems;
use serde_json::Value;

use crate::{
    body::{JsonBody, Parameters},
    context::Context,
    error::Failure,
};

pub(crate) async fn proxy(
    context: Context,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<Response, Failure> {
    Ok(in_pieces(context.api.secrets_proxy(&caller, &body).await?))
}

pub(crate) async fn oauth_start(
    context: Context,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Failure> {
    Ok(Json(context.api.oauth_start(&caller, &body).await?))
}

pub(crate) async fn oauth_status(
    context: Context,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
) -> Result<Json<Value>, Failure> {
    let missing = || Problems::one(["query".into(), "provider".into()], "missing", "field required");
    let provider = parameters.text("provider").ok_or_else(missing)?;
    Ok(Json(context.api.oauth_status(&caller, provider)?))
}

/// An answer that is let go of only when its last piece goes out: given whole it would be copied to the connection's own
/// buffer at once, where nobody counts it.
fn in_pieces(json: Bytes) -> Response {
    const PIECE_BYTES: usize = 32 * 1024;
    let length = HeaderValue::from(json.len());
    let pieces = stream::unfold(json, |mut rest| async move {
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        (!piece.is_empty()).then_some((Ok::<_, std::convert::Infallible>(piece), rest))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response
}
