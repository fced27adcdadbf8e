//! Long pieces of work: who asked for them, how far they are, and their cancel.

use axum::{
    Extension, Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use selena_core::{ApiError, identity::Caller};
use serde_json::{Value, json};

use crate::{body::Segment, context::Context, error::Failure};

pub(crate) async fn list(context: Context) -> Result<Json<Value>, Failure> {
    Ok(Json(json!({ "jobs": context.api.modules()?.jobs().list() })))
}

/// It is asked to stop, and does so at its next step: 202.
pub(crate) async fn cancel(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment,
) -> Result<Response, Failure> {
    let id = id.parse().map_err(|_| ApiError::NotFound("job"))?;
    let job = context.api.modules()?.cancel_job(id, caller.subject())?;
    Ok((StatusCode::ACCEPTED, Json(job)).into_response())
}
