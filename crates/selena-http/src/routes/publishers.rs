//! Publishers' keys, for people.

use axum::{Extension, Json, http::StatusCode, response::IntoResponse};
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

/// What was begun is stored and remembered together, also if the client hangs up between the two.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work).await.unwrap_or_else(|panic| Err(ApiError::internal(panic)))
}

pub(crate) async fn list(context: Context) -> Result<Json<Value>, Failure> {
    Ok(Json(context.api.modules()?.publisher_list()))
}

pub(crate) async fn add(
    context: Context,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<impl IntoResponse, Failure> {
    let modules = context.api.modules()?;
    let key = to_its_end(async move { modules.publishers().add(&body, caller.subject()).await }).await?;
    Ok((StatusCode::CREATED, Json(key.details())))
}

pub(crate) async fn rotate(
    context: Context,
    Extension(caller): Extension<Caller>,
    JsonBody(statement): JsonBody,
) -> Result<impl IntoResponse, Failure> {
    let modules = context.api.modules()?;
    let key = to_its_end(async move { modules.publishers().rotate(&statement, caller.subject()).await }).await?;
    Ok((StatusCode::CREATED, Json(key.details())))
}

pub(crate) async fn set_trust(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(key): Segment,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Failure> {
    let (modules, key) = (context.api.modules()?, id(&key)?);
    let key = to_its_end(async move { modules.publishers().set_trust(&key, &body, caller.subject()).await }).await?;
    Ok(Json(key.details()))
}

pub(crate) async fn revoke(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(key): Segment,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Failure> {
    let (modules, key) = (context.api.modules()?, id(&key)?);
    let revoked = to_its_end(async move { modules.revoke_publisher(&key, &body, caller.subject()).await }).await?;
    Ok(Json(revoked))
}
