//! What the init of a trial tells the hub (protocol, section 2, step 3).

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, request::Parts},
};
use selena_core::{
    ApiError,
    identity::{Credentials, Origin, SyscallWatch},
};

use crate::{
    body::{Parameters, TextBody},
    context::Context,
    error::Failure,
    guard,
};

/// Counts of the system calls that were denied so far. The answer is kept back until the hub wants the next.
///
/// The module is in the same namespace and would like to look better than it is: only the init's key is believed.
pub(crate) async fn denied(
    _init: Init,
    context: Context,
    parameters: Parameters,
    headers: HeaderMap,
    TextBody(counts): TextBody,
) -> Result<StatusCode, Failure> {
    let watch = watch_of(&context.origin, &headers).ok_or_else(forged)?;
    let last = parameters.parsed("last", "must be true or false")?.unwrap_or(false);
    watch.tell(&counts, last)?;
    if !last {
        watch.wanted().await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The request is the init's: asked before its body is read.
pub(crate) struct Init;

impl<S: Sync> FromRequestParts<S> for Init {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        let context = Context::of(&parts.extensions);
        watch_of(&context.origin, &parts.headers).map(|_| Self).ok_or_else(|| forged().into())
    }
}

fn forged() -> ApiError {
    ApiError::Forbidden {
        code: "report_forged",
        detail: "only the hub's init reports on a trial, with the key it was given".to_owned(),
    }
}

fn watch_of<'a>(origin: &'a Origin, headers: &HeaderMap) -> Option<&'a SyscallWatch> {
    let (Origin::Module(run), Credentials::Bearer(key)) = (origin, guard::credentials(headers)) else { return None };
    run.watch().filter(|watch| watch.is_key(key) && run.is_live())
}
