//! Backup and restore, for people. Nothing of a backup is kept on the way: what is made is sent as it is made, and what
//! arrives is worked through as it arrives.

use std::convert::Infallible;

use axum::{
    Extension, Json,
    body::{Body, Bytes},
    extract::Request,
    http::{StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event as Line, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use selena_core::{BackupProgress, BackupRequest, IntakeMode, KeyError, Lock, Restored, identity::Caller};
use selena_types::Problems;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    body::{JsonBody, Parameters},
    context::Context,
    error::Failure,
    intake,
};

/// Makes a backup: `{"module"?, "recipient" | "passphrase"}`.
pub(crate) async fn create(
    context: Context,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<Response, Failure> {
    let request = parse(&body)?;
    let pieces = context.api.modules()?.create_backup(request, caller.subject()).await?;
    let pieces = stream::unfold(pieces, |mut pieces| async { pieces.recv().await.map(|piece| (piece, pieces)) });
    let kind = [(header::CONTENT_TYPE, "application/age"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

fn parse(body: &Value) -> Result<BackupRequest, Failure> {
    let problem = |field: &str, code: &str, msg: String| Problems::one(["body".into(), field.into()], code, msg);
    let text = |field: &str| body.get(field).filter(|value| !value.is_null()).map(|value| value.as_str().unwrap_or(""));
    let module = text("module").map(str::parse).transpose();
    let module = module.map_err(|_| selena_core::ApiError::NotFound("module"))?;
    let lock = match (text("recipient"), text("passphrase")) {
        (Some(recipient), None) => recipient.parse().map(Lock::Recipient),
        (None, Some(passphrase)) => Lock::passphrase(passphrase),
        _ => {
            let msg = "name who can open it: `recipient` (a public key, age1…) or `passphrase`, one of the two";
            return Err(problem("recipient", "missing", msg.to_owned()).into());
        }
    };
    let lock = lock.map_err(|error: KeyError| {
        let field = if error == KeyError::Recipient { "recipient" } else { "passphrase" };
        problem(field, "backup_lock", error.to_string())
    })?;
    Ok(BackupRequest { module, lock })
}

/// Looks a backup through, and changes nothing.
pub(crate) async fn check(
    context: Context,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Value>, Failure> {
    let modules = context.api.modules()?;
    let good = intake::receive(&modules, request, IntakeMode::Check, caller.subject()).await?;
    Ok(Json(good.details()))
}

/// Restores a backup. A whole hub starts again once its answer is sent.
pub(crate) async fn restore(
    context: Context,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Failure> {
    let replace = parameters.parsed::<bool>("replace", "must be true or false")?.unwrap_or_default();
    let modules = context.api.modules()?;
    let restored = intake::receive(&modules, request, IntakeMode::Restore { replace }, caller.subject()).await?;
    Ok(answer(&restored, modules.restart_wanted()))
}

fn answer(restored: &Restored, restart: CancellationToken) -> Response {
    if !restored.restarts() {
        return Json(restored.details()).into_response();
    }
    // Dropped when the answer was handed to the connection, or when that is gone.
    let guard = restart.drop_guard();
    let pieces =
        stream::unfold(Some((restored.details().to_string(), guard)), |left: Option<(String, DropGuard)>| async {
            let (text, guard) = left?;
            // Held until the end was asked for as well.
            Some((Ok::<_, Infallible>((Bytes::from(text), guard)), None))
        });
    let mut held = None;
    let pieces = futures_util::StreamExt::map(pieces, move |piece| {
        piece.map(|(text, guard)| {
            held = Some(guard);
            text
        })
    });
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::ACCEPTED, kind, Body::from_stream(pieces)).into_response()
}

/// How far it is, until it is over.
pub(crate) async fn status_stream(
    context: Context,
) -> Result<Sse<impl Stream<Item = Result<Line, Infallible>>>, Failure> {
    let mut receiver = context.api.modules()?.follow_backup()?;
    receiver.mark_changed();
    let steps = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver: watch::Receiver<Option<BackupProgress>> = receiver?;
        receiver.changed().await.ok()?;
        let progress = receiver.borrow_and_update().clone()?;
        let line = Line::default().json_data(&progress).ok()?;
        Some((Ok(line), (!progress.is_last()).then_some(receiver)))
    });
    Ok(Sse::new(steps).keep_alive(KeepAlive::default()))
}

/// Ends the one that goes on.
pub(crate) async fn cancel(context: Context, Extension(caller): Extension<Caller>) -> Result<StatusCode, Failure> {
    context.api.modules()?.cancel_backup(caller.subject())?;
    Ok(StatusCode::NO_CONTENT)
}
