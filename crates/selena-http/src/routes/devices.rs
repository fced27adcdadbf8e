//! Devices (protocol, section 5).

use axum::{
    Extension, Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use selena_core::{ApiError, identity::Caller};
use selena_types::{DeviceId, NewDevice, Problems, fields::Object};
use serde_json::{Value, json};

use super::rendered;
use crate::{
    body::{JsonBody, Parameters, Segment},
    context::Context,
    error::Failure,
};

const SINCE: &str = "must be a time in Unix seconds";

/// An id that is no UUID names no device.
fn id(text: &str) -> Result<DeviceId, ApiError> {
    text.parse().map_err(|_| ApiError::NotFound("device"))
}

pub(crate) async fn list(context: Context) -> Response {
    rendered(context.api.devices_json())
}

pub(crate) async fn show(context: Context, Segment(device): Segment) -> Result<Response, Failure> {
    Ok(rendered(context.api.device_json(id(&device)?)?))
}

pub(crate) async fn register(
    context: Context,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<impl IntoResponse, Failure> {
    let device = context.api.register_device(&caller, NewDevice::parse(&body)?).await?;
    Ok((StatusCode::CREATED, Json(json!(*device))))
}

pub(crate) async fn set_state(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(device): Segment,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Failure> {
    let mut problems = Problems::default();
    let state = Object::body(&body, &mut problems).map("state").ok_or(problems)?;
    let device = context.api.set_state(&caller, id(&device)?, state).await?;
    Ok(Json(json!(*device)))
}

pub(crate) async fn delete(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(device): Segment,
) -> Result<StatusCode, Failure> {
    context.api.delete_device(&caller, id(&device)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn history(
    context: Context,
    Segment(device): Segment,
    parameters: Parameters,
) -> Result<Json<Value>, Failure> {
    let since: Option<f64> = parameters.parsed("since", SINCE)?;
    if since.is_some_and(|since| !since.is_finite()) {
        return Err(Problems::one(["query".into(), "since".into()], "query_invalid", SINCE).into());
    }
    let states = context.api.history(id(&device)?, since, parameters.limit()?).await?;
    Ok(Json(json!({ "history": states })))
}
