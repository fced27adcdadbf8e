//! Intents, as programs for earlier cores register them (protocol, section 11).

use axum::{Extension, Json, http::StatusCode, response::IntoResponse};
use selena_core::identity::Caller;
use serde_json::Value;

use crate::{
    body::{JsonBody, Segment},
    context::Context,
    error::Failure,
};

pub(crate) async fn register(
    context: Context,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<impl IntoResponse, Failure> {
    Ok((StatusCode::CREATED, Json(context.api.register_intents(&caller, &body)?)))
}

pub(crate) async fn list(context: Context) -> Json<Value> {
    Json(context.api.list_intents())
}

pub(crate) async fn delete(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(module): Segment,
) -> Result<StatusCode, Failure> {
    context.api.delete_intents(&caller, &module)?;
    Ok(StatusCode::NO_CONTENT)
}
