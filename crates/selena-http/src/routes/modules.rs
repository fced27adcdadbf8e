//! Modules (protocol, section 2).

use std::convert::Infallible;

use axum::{
    Extension, Json,
    http::{StatusCode, header},
    response::{
        IntoResponse,
        sse::{Event as Line, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use selena_core::{ApiError, Progress, identity::Caller};
use selena_types::{ModuleName, ModuleState};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    body::{JsonBody, Segment},
    context::Context,
    error::Failure,
};

/// A text that is no module name names no module.
fn name(text: &str) -> Result<ModuleName, ApiError> {
    text.parse().map_err(|_| ApiError::NotFound("module"))
}

fn state(name: &ModuleName, status: ModuleState) -> Json<Value> {
    Json(json!({ "name": name, "status": status }))
}

pub(crate) async fn list(context: Context) -> Result<Json<Value>, Failure> {
    let summaries: Vec<_> = context.api.modules()?.records().iter().map(|record| record.summary()).collect();
    Ok(Json(json!({ "modules": summaries })))
}

pub(crate) async fn show(context: Context, Segment(module): Segment) -> Result<Json<Value>, Failure> {
    Ok(Json(context.api.modules()?.details(&name(&module)?)?))
}

pub(crate) async fn start(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(module): Segment,
) -> Result<Json<Value>, Failure> {
    let name = name(&module)?;
    let status = context.api.modules()?.start(&name, caller.subject()).await?;
    Ok(state(&name, status))
}

pub(crate) async fn stop(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(module): Segment,
) -> Result<Json<Value>, Failure> {
    let name = name(&module)?;
    let status = context.api.modules()?.stop(&name, caller.subject()).await?;
    Ok(state(&name, status))
}

pub(crate) async fn restart(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(module): Segment,
) -> Result<Json<Value>, Failure> {
    let name = name(&module)?;
    let status = context.api.modules()?.restart(&name, caller.subject()).await?;
    Ok(state(&name, status))
}

pub(crate) async fn rollback(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(module): Segment,
) -> Result<Json<Value>, Failure> {
    let name = name(&module)?;
    let now = context.api.modules()?.roll_back(&name, caller.subject()).await?;
    Ok(Json(json!({ "name": now.name, "status": now.status, "version": now.version })))
}

pub(crate) async fn remove(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(module): Segment,
) -> Result<StatusCode, Failure> {
    context.api.modules()?.remove(&name(&module)?, caller.subject()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn logs(context: Context, Segment(module): Segment) -> Result<impl IntoResponse, Failure> {
    let logs = context.api.modules()?.logs(&name(&module)?).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], logs))
}

pub(crate) async fn awaited_consent(context: Context, Segment(module): Segment) -> Result<Json<Value>, Failure> {
    Ok(Json(context.api.modules()?.awaited_consent(&name(&module)?).await?))
}

pub(crate) async fn consent(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(module): Segment,
    JsonBody(shown): JsonBody,
) -> Result<Json<Value>, Failure> {
    Ok(Json(context.api.modules()?.consent(&name(&module)?, shown, caller.subject()).await?))
}

pub(crate) async fn refuse_consent(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(module): Segment,
) -> Result<StatusCode, Failure> {
    context.api.modules()?.refuse_consent(&name(&module)?, caller.subject()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn config(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(module): Segment,
) -> Result<Json<Value>, Failure> {
    let config = context.api.module_config(&caller, &name(&module)?).await?;
    Ok(Json(json!({ "config": config })))
}

pub(crate) async fn set_config(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(module): Segment,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Failure> {
    let config = context.api.modules()?.set_config(&name(&module)?, &body, caller.subject()).await?;
    Ok(Json(json!({ "config": config })))
}

pub(crate) async fn command(
    context: Context,
    Extension(caller): Extension<Caller>,
    Segment(module): Segment,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, Failure> {
    let result = context.api.modules()?.command(&name(&module)?, &body, caller.subject()).await?;
    Ok(Json(json!({ "result": result })))
}

/// Every step of an install or start until it is over.
pub(crate) async fn status_stream(
    context: Context,
    Segment(module): Segment,
) -> Result<Sse<impl Stream<Item = Result<Line, Infallible>>>, Failure> {
    let mut receiver = context.api.modules()?.follow(&name(&module)?)?;
    receiver.mark_changed();
    let steps = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver: watch::Receiver<Progress> = receiver?;
        receiver.changed().await.ok()?;
        let progress = receiver.borrow_and_update().clone();
        let line = Line::default().json_data(&progress).ok()?;
        Some((Ok(line), (!progress.is_last()).then_some(receiver)))
    });
    Ok(Sse::new(steps).keep_alive(KeepAlive::default()))
}
