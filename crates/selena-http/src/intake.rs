//! Receiving a backup: multipart, first the field `identity` or `passphrase`, then the file `backup`, which is worked
//! through while it arrives. An outcome that is known before its end, as that of a wrong key, is answered at once.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::StatusCode,
};
use selena_core::{ApiError, Identity, Intake, IntakeMode, Key, KeyError, Modules, Restored};
use selena_types::Problems;
use tokio::time::timeout;

use crate::error::Failure;

/// Largest backup in bytes.
const MAX_BACKUP_BYTES: u64 = 64 << 30;
/// Largest field that is no backup, in bytes.
const MAX_KEY_BYTES: usize = 8 * 1024;
/// How long the next piece may take to arrive.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Takes in the backup of a request.
pub(crate) async fn receive(
    modules: &Arc<Modules>,
    request: Request,
    mode: IntakeMode,
    who: &str,
) -> Result<Restored, Failure> {
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| malformed(error.body_text()))?;
    let mut key = None;
    loop {
        let next = timeout(IDLE_TIMEOUT, form.next_field()).await.map_err(|_| cut())?;
        let Some(field) = next.map_err(|error| broken(&error))? else {
            return Err(missing("backup", "the form has no file field `backup`"));
        };
        match field.name() {
            Some("identity") => {
                key = Some(Identity::from_file(&text(field).await?).map(Key::Identity).map_err(bad_key)?)
            }
            Some("passphrase") => key = Some(Key::passphrase(&text(field).await?).map_err(bad_key)?),
            Some("backup") => {
                let what = "what opens the backup comes before it: the field `identity` or `passphrase`";
                let key = key.ok_or_else(|| missing("identity", what))?;
                let intake = modules.take_in(key, mode, who).await?;
                return work_through(field, intake).await;
            }
            _ => {}
        }
    }
}

async fn work_through(mut field: Field<'_>, intake: Intake) -> Result<Restored, Failure> {
    let Intake { pieces, mut outcome, cancel } = intake;
    // A client that hangs up ends it; once all came, it goes on by itself.
    let unfinished = cancel.clone().drop_guard();
    let mut bytes = 0;
    loop {
        let piece = tokio::select! {
            known = &mut outcome => return done(known),
            piece = timeout(IDLE_TIMEOUT, field.chunk()) => piece,
        };
        let Ok(Ok(piece)) = piece else {
            drop(unfinished);
            let _cancelled = outcome.await;
            return Err(cut());
        };
        let Some(piece) = piece else { break };
        bytes += piece.len() as u64;
        if bytes > MAX_BACKUP_BYTES {
            drop(unfinished);
            let _cancelled = outcome.await;
            let detail = "a backup is at most 64 GiB";
            return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "backup_too_large", detail));
        }
        // Whoever does not want it any more has an outcome.
        let _outcome_known = pieces.send(piece).await;
    }
    let _all_came = unfinished.disarm();
    drop(pieces);
    done(outcome.await)
}

fn done(outcome: Result<Result<Restored, ApiError>, tokio::task::JoinError>) -> Result<Restored, Failure> {
    Ok(outcome.map_err(ApiError::internal)??)
}

async fn text(mut field: Field<'_>) -> Result<String, Failure> {
    let mut text = Vec::new();
    loop {
        let piece = timeout(IDLE_TIMEOUT, field.chunk()).await.map_err(|_| cut())?;
        let Some(piece) = piece.map_err(|error| broken(&error))? else { break };
        text.extend_from_slice(&piece);
        if text.len() > MAX_KEY_BYTES {
            return Err(malformed(format!("a field before `backup` has at most {MAX_KEY_BYTES} bytes")));
        }
    }
    String::from_utf8(text).map_err(|_| malformed("a field before `backup` is no text".to_owned()))
}

fn malformed(error: String) -> Failure {
    Problems::one(["body".into()], "multipart_invalid", error).into()
}

fn missing(field: &str, what: &str) -> Failure {
    Problems::one(["body".into(), field.into()], "missing", what).into()
}

fn bad_key(error: KeyError) -> Failure {
    Failure::from(ApiError::Unprocessable { code: "backup_key".to_owned(), detail: error.to_string() })
}

fn broken(error: &MultipartError) -> Failure {
    match error.status() {
        StatusCode::INTERNAL_SERVER_ERROR => cut(),
        _ if error.body_text().contains("incomplete") => cut(),
        _ => malformed(error.body_text()),
    }
}

fn cut() -> Failure {
    Failure::new(StatusCode::REQUEST_TIMEOUT, "upload_cut", "the backup did not arrive whole; nothing was changed")
}
