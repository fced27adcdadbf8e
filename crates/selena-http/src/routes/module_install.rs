//! `POST /modules/install` (protocol, section 2).

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use selena_core::{Installed, identity::Caller};
use selena_types::ModuleState;
use serde_json::json;

use crate::{context::Context, error::Failure, upload};

pub(crate) async fn install(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Failure> {
    let modules = context.api.modules()?;
    let respond_async = prefers_async(request.headers());
    let staged = upload::receive(&modules, caller.subject(), request).await?;
    let installing = modules.install(staged, caller.subject()).await?;
    if respond_async {
        let answer = json!({ "name": installing.name, "status": ModuleState::Validating });
        return Ok((StatusCode::ACCEPTED, [("preference-applied", "respond-async")], Json(answer)).into_response());
    }
    Ok(answer(installing.outcome().await?))
}

fn answer(installed: Installed) -> Response {
    match installed.adds {
        Some(adds) => {
            let waiting = json!({
                "name": installed.name, "status": installed.status, "version": installed.version, "adds": adds,
                "report": installed.report,
            });
            (StatusCode::ACCEPTED, Json(waiting)).into_response()
        }
        None => {
            let running = json!({
                "name": installed.name, "status": installed.status, "port": installed.port, "report": installed.report,
            });
            (StatusCode::CREATED, Json(running)).into_response()
        }
    }
}

/// `Prefer: respond-async` (RFC 7240), among other preferences.
fn prefers_async(headers: &HeaderMap) -> bool {
    let all = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|preference| {
        preference.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("respond-async"))
    })
}
