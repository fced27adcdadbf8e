//! `POST /modules/install` (protocol, section 2).

use axum::{
    Extension, Json,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use selena_core::{InstallOrder, Installed, identity::Caller, may_downgrade};
use selena_types::ModuleState;
use serde_json::{Value, json};

use crate::{body::Parameters, context::Context, error::Failure, upload};

pub(crate) async fn install(
    context: Context,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Failure> {
    let allow_downgrade = parameters.parsed("allow_downgrade", "must be true or false")?.unwrap_or(false);
    if allow_downgrade {
        may_downgrade(&caller)?;
    }
    let modules = context.api.modules()?;
    let respond_async = prefers_async(request.headers());
    let order = InstallOrder { who: caller.subject().to_owned(), allow_downgrade };
    let uploaded = upload::receive(&modules, caller.subject(), request).await?;
    let installing = modules.install(uploaded, order).await?;
    if respond_async {
        let answer = json!({ "name": installing.name, "status": ModuleState::Validating });
        return Ok((StatusCode::ACCEPTED, [("preference-applied", "respond-async")], Json(answer)).into_response());
    }
    let installed = installing.outcome().await?;
    let publisher = modules.publisher(installed.signed_by.as_ref());
    Ok(answer(installed, &publisher))
}

/// What nobody signed says so at once, and wherever the module is shown later.
fn answer(installed: Installed, publisher: &Value) -> Response {
    match installed.adds {
        Some(adds) => {
            let waiting = json!({
                "name": installed.name, "status": installed.status, "version": installed.version, "adds": adds,
                "report": installed.report, "publisher": publisher,
            });
            (StatusCode::ACCEPTED, Json(waiting)).into_response()
        }
        None => {
            let running = json!({
                "name": installed.name, "status": installed.status, "port": installed.port, "report": installed.report,
                "publisher": publisher,
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
