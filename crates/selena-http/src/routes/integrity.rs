//! The integrity agent's reports, and SAFE MODE (protocol, section 8.2).

use axum::{
    Extension, Json,
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, request::Parts},
};
use selena_core::{ApiError, identity::Caller};
use serde_json::{Value, json};

use crate::{body::JsonBody, context::Context, error::Failure};

/// What the agent proves itself with.
const SECRET: &str = "x-agent-secret";

/// The request is the agent's: asked before its body is read.
pub(crate) struct Agent;

impl<S: Sync> FromRequestParts<S> for Agent {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        let context = Context::of(&parts.extensions);
        context.api.check_agent(&context.origin, secret(&parts.headers))?;
        Ok(Self)
    }
}

/// Whether a request is the agent's.
pub(crate) fn is_agent(context: &Context, headers: &HeaderMap) -> bool {
    context.api.check_agent(&context.origin, secret(headers)).is_ok()
}

pub(crate) async fn status(context: Context) -> Json<Value> {
    Json(context.api.integrity().status())
}

pub(crate) async fn violation(
    _agent: Agent,
    context: Context,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Failure> {
    context.api.report_violation(&body).await?;
    Ok(Json(json!({ "acknowledged": true })))
}

pub(crate) async fn restored(
    _agent: Agent,
    context: Context,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Failure> {
    context.api.report_restored(&body).await;
    Ok(Json(json!({ "acknowledged": true })))
}

pub(crate) async fn exit_safe_mode(
    context: Context,
    Extension(caller): Extension<Caller>,
) -> Result<StatusCode, Failure> {
    // Goes on also if the person does not wait.
    let api = context.api.clone();
    tokio::spawn(async move { api.exit_safe_mode(&caller).await }).await.map_err(ApiError::internal)??;
    Ok(StatusCode::NO_CONTENT)
}

/// The header, if it is there exactly once.
fn secret(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(SECRET).iter();
    match (all.next(), all.next()) {
        (Some(secret), None) => secret.to_str().ok(),
        _ => None,
    }
}
