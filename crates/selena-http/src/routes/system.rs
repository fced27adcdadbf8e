//! The hub itself.

use axum::{
    Extension, Json,
    http::{HeaderMap, HeaderValue, header},
    response::IntoResponse,
};
use selena_core::{
    ApiError,
    identity::{Caller, Origin},
};
use serde_json::{Value, json};

use crate::{body::Parameters, context::Context, error::Failure, openapi as described};

/// Header of `GET /boot` with the key of a trial's reports. It is not in the environment, which the module gets.
const REPORT_KEY: &str = "selena-report-key";

/// The environment of a module, for the hub's init; once per container start (protocol, section 2, step 6).
pub(crate) async fn boot(context: Context) -> Result<impl IntoResponse, Failure> {
    let Origin::Module(run) = &context.origin else { return Err(ApiError::NotFound("environment").into()) };
    let environment = run.take_boot()?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(watch) = run.watch() {
        let mut key = HeaderValue::from_str(watch.key().expose()).map_err(ApiError::internal)?;
        key.set_sensitive(true);
        headers.insert(REPORT_KEY, key);
    }
    Ok((headers, environment.expose().to_owned()))
}

/// What this API is, for programs: OpenAPI 3.1.
pub(crate) async fn openapi() -> Json<Value> {
    Json(described::document())
}

pub(crate) async fn health(context: Context) -> Json<Value> {
    Json(context.api.health())
}

pub(crate) async fn info(context: Context, Extension(caller): Extension<Caller>) -> Json<Value> {
    Json(context.api.system_info(&caller))
}

/// The newest audit records.
pub(crate) async fn audit(context: Context, parameters: Parameters) -> Result<Json<Value>, Failure> {
    let records = context.api.audit_records(parameters.limit()?).await?;
    Ok(Json(json!({ "records": records })))
}

/// The devices of the machine that modules can be given.
pub(crate) async fn host_devices(context: Context) -> Result<Json<Value>, Failure> {
    Ok(Json(context.api.modules()?.host_devices()))
}

/// Who uses the disk, the largest first.
pub(crate) async fn disk(context: Context) -> Result<Json<Value>, Failure> {
    Ok(Json(context.api.modules()?.disk_use().await?))
}
