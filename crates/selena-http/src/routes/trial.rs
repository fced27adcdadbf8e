//! What the init of a trial tells the hub (protocol, section 2, step 3).

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
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
    State(context): State<Context>,
    parameters: Parameters,
    headers: HeaderMap,
    TextBody(counts): TextBody,
) -> Result<StatusCode, Failure> {
    let watch = watch_of(&context.origin, &headers).ok_or_else(|| ApiError::Forbidden {
        code: "report_forged",
        detail: "only the hub's init reports on a trial, with the key it was given".to_owned(),
    })?;
    let last = parameters.parsed("last", "must be true or false")?.unwrap_or(false);
    watch.tell(&counts, last)?;
    if !last {
        watch.wanted().await;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn watch_of<'a>(origin: &'a Origin, headers: &HeaderMap) -> Option<&'a SyscallWatch> {
    let (Origin::Module(run), Credentials::Bearer(key)) = (origin, guard::credentials(headers)) else { return None };
    run.watch().filter(|watch| watch.is_key(key) && run.is_live())
}
