//! The hub itself.

use axum::{Extension, Json, extract::State, http::header, response::IntoResponse};
use selena_core::{
    ApiError,
    identity::{Caller, Origin},
};
use serde_json::{Value, json};

use crate::{body::Parameters, context::Context, error::Failure, openapi as described};

/// The environment of a module, for the hub's init; once per container start (protocol, section 2, step 6).
pub(crate) async fn boot(State(context): State<Context>) -> Result<impl IntoResponse, Failure> {
    let Origin::Module(run) = &context.origin else { return Err(ApiError::NotFound("environment").into()) };
    let environment = run.take_boot()?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, environment.expose().to_owned()))
}

/// What this API is, for programs: OpenAPI 3.1.
pub(crate) async fn openapi() -> Json<Value> {
    Json(described::document())
}

pub(crate) async fn health(State(context): State<Context>) -> Json<Value> {
    Json(context.api.health())
}

pub(crate) async fn info(State(context): State<Context>, Extension(caller): Extension<Caller>) -> Json<Value> {
    Json(context.api.system_info(&caller))
}

pub(crate) async fn integrity(State(context): State<Context>) -> Json<Value> {
    Json(context.api.integrity_status())
}

/// The newest audit records.
pub(crate) async fn audit(State(context): State<Context>, parameters: Parameters) -> Result<Json<Value>, Failure> {
    let records = context.api.audit_records(parameters.limit()?).await?;
    Ok(Json(json!({ "records": records })))
}

/// The devices of the machine that modules can be given.
pub(crate) async fn host_devices(State(context): State<Context>) -> Result<Json<Value>, Failure> {
    Ok(Json(context.api.modules()?.host_devices()))
}
