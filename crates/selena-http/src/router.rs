//! The route table. A route is registered together with its operation, so none is without a rule.

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    middleware::{from_fn_with_state, map_response},
    routing::{MethodRouter, delete, get, patch, post},
};
use selena_core::{Operation, identity::Identity};

use crate::{
    context::Context,
    error::Failure,
    guard,
    routes::{devices, events, intents, module_install, modules, system},
};

/// Where the API begins.
const PREFIX: &str = "/api/v1";

#[rustfmt::skip]
fn table() -> Vec<(Operation, &'static str, MethodRouter<Context>)> {
    use Operation as Op;
    vec![
        (Op::Boot,               "/boot",                           get(system::boot)),
        (Op::Health,             "/health",                         get(system::health)),
        (Op::SystemInfo,         "/system/info",                    get(system::info)),
        (Op::AuditList,          "/audit",                          get(system::audit)),
        (Op::DeviceList,         "/devices",                        get(devices::list)),
        (Op::DeviceRegister,     "/devices",                        post(devices::register)),
        (Op::DeviceGet,          "/devices/{device_id}",            get(devices::show)),
        (Op::DeviceDelete,       "/devices/{device_id}",            delete(devices::delete)),
        (Op::DeviceSetState,     "/devices/{device_id}/state",      patch(devices::set_state)),
        (Op::DeviceHistory,      "/devices/{device_id}/history",    get(devices::history)),
        (Op::IntentRegister,     "/intents/register",               post(intents::register)),
        (Op::IntentList,         "/intents",                        get(intents::list)),
        (Op::IntentDelete,       "/intents/{module}",               delete(intents::delete)),
        (Op::IntegrityStatus,    "/integrity/status",               get(system::integrity)),
        (Op::EventPublish,       "/events/publish",                 post(events::publish)),
        (Op::EventSubscribe,     "/events/subscribe",               post(events::subscribe)),
        (Op::EventUnsubscribe,   "/events/subscriptions/{id}",      delete(events::unsubscribe)),
        (Op::EventList,          "/events",                         get(events::list)),
        (Op::EventStream,        "/events/stream",                  get(events::stream)),
        (Op::ModuleList,         "/modules",                        get(modules::list)),
        (Op::ModuleInstall,      "/modules/install",                post(module_install::install)),
        (Op::ModuleGet,          "/modules/{name}",                 get(modules::show)),
        (Op::ModuleRemove,       "/modules/{name}",                 delete(modules::remove)),
        // A module may bear this name too.
        (Op::ModuleGet,          "/modules/install",                get(modules::show)),
        (Op::ModuleRemove,       "/modules/install",                delete(modules::remove)),
        (Op::ModuleStart,        "/modules/{name}/start",           post(modules::start)),
        (Op::ModuleStop,         "/modules/{name}/stop",            post(modules::stop)),
        (Op::ModuleRestart,      "/modules/{name}/restart",         post(modules::restart)),
        (Op::ModuleLogs,         "/modules/{name}/logs",            get(modules::logs)),
        (Op::ModuleStatusStream, "/modules/{name}/status/stream",   get(modules::status_stream)),
        (Op::ModuleConfigGet,    "/modules/{name}/config",          get(modules::config)),
        (Op::ModuleConfigSet,    "/modules/{name}/config",          post(modules::set_config)),
        (Op::ModuleCommand,      "/modules/{name}/command",         post(modules::command)),
        (Op::ModuleConsent,      "/modules/{name}/consent",         get(modules::awaited_consent)
                                                                        .post(modules::consent)
                                                                        .delete(modules::refuse_consent)),
    ]
}

/// The API for one listener.
pub(crate) fn router(context: Context) -> Router {
    let mut api = Router::new();
    let mut top = Router::new();
    for (operation, path, handler) in table() {
        let guarded = handler.route_layer(from_fn_with_state((context.clone(), operation), guard::authorize));
        // Programs that were started before they knew the prefix ask for these two at the root.
        if matches!(operation, Operation::Boot | Operation::Health) {
            top = top.route(path, guarded.clone());
        }
        api = api.route(path, guarded);
    }
    top.nest(PREFIX, api)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(context.clone(), guard::envelope))
        .layer(map_response(no_sniffing))
        .with_state(context)
}

async fn no_sniffing(mut response: axum::response::Response) -> axum::response::Response {
    let nosniff = axum::http::HeaderValue::from_static("nosniff");
    response.headers_mut().insert(axum::http::header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// A path that is no route.
async fn unknown(State(context): State<Context>) -> Failure {
    uncounted(&context, StatusCode::NOT_FOUND, "not_found", "there is no such path in this API")
}

async fn wrong_method(State(context): State<Context>) -> Failure {
    let detail = "this path does not take this method";
    uncounted(&context, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// What no operation counts counts against the listener's limit, like any request without a token.
fn uncounted(context: &Context, status: StatusCode, code: &'static str, detail: &str) -> Failure {
    match Identity::count_anonymous(&context.origin) {
        Err(error) => error.into(),
        Ok(()) => Failure::new(status, code, detail),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_operation_has_its_route() {
        let routed: HashSet<_> = table().into_iter().map(|(operation, ..)| operation).collect();
        let all: HashSet<_> = Operation::ALL.iter().copied().collect();
        assert_eq!(routed, all);
    }
}
