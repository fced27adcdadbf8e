//! Publishers' keys, for people.

use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use selena_core::{ApiError, KeyId, identity::Caller};
use serde_json::Value;

use crate::{
    body::{JsonBody, Segment},
    context::Context,
    error::Failure,
};

/// A text that is no key id names no key.
fn id(text: &str) -> Result<KeyId, ApiError> {
    text.parse().map_err(|_| ApiError::NotFound("publisher's key"))
}

pub(crate) async fn list(State(context): State<Context>) -> Result<Json<Value>, Failure> {
    Ok(Json(context.api.modules()?.publisher_list()))
}

pub(crate) async fn add(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<impl IntoResponse, Failure> {
    let key = context.api.modules()?.publishers().add(&body, caller.subject()).await?;
    Ok((StatusCode::CREATED, Json(key.details())))
}

pub(crate) async fn rotate(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    JsonBody(statement): JsonBody,
) -> Result<impl IntoResponse, Failure> {
    let key = context.api.modules()?.publishers().rotate(&statement, caller.subject()).await?;
    Ok((StatusCode::CREATED, Json(key.details())))
}

pub(crate) async fn set_trust(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    Segment(key): Segment,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Failure> {
    let key = context.api.modules()?.publishers().set_trust(&id(&key)?, &body, caller.subject()).await?;
    Ok(Json(key.details()))
}

pub(crate) async fn revoke(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    Segment(key): Segment,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Failure> {
    Ok(Json(context.api.modules()?.revoke_publisher(&id(&key)?, &body, caller.subject()).await?))
}
