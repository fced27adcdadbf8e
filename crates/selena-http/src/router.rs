//! The route table. A route is registered together with its operation, so none is without a rule.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    http::{Method, StatusCode},
    middleware::{from_fn, from_fn_with_state, map_response},
    routing::{MethodFilter, MethodRouter, on},
};
use selena_core::{Operation, identity::Identity};

use crate::{
    context::Context,
    error::Failure,
    guard,
    routes::{
        backup, devices, events, integrity, intents, jobs, module_install, modules, publishers, secrets, system, trial,
    },
};

/// Where the API begins.
pub(crate) const PREFIX: &str = "/api/v1";

/// One route.
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    handler: MethodRouter,
}

fn route<H, T>(operation: Operation, method: Method, path: &'static str, handler: H) -> Route
where
    H: Handler<T, ()>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method.clone()).expect("the table has only methods that axum routes");
    Route { operation, method, path, handler: on(filter, handler) }
}

/// All routes, below [`PREFIX`].
#[rustfmt::skip]
pub(crate) fn table() -> Vec<Route> {
    use Operation as Op;
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;
    vec![
        route(Op::Boot,               GET,    "/boot",                         system::boot),
        route(Op::BootDenied,         POST,   "/boot/denied",                  trial::denied),
        route(Op::OpenApi,            GET,    "/openapi.json",                 system::openapi),
        route(Op::Health,             GET,    "/health",                       system::health),
        route(Op::SystemInfo,         GET,    "/system/info",                  system::info),
        route(Op::AuditList,          GET,    "/audit",                        system::audit),
        route(Op::HostDeviceList,     GET,    "/system/devices",               system::host_devices),
        route(Op::DiskUse,            GET,    "/system/disk",                  system::disk),
        route(Op::JobList,            GET,    "/jobs",                         jobs::list),
        route(Op::JobCancel,          DELETE, "/jobs/{id}",                    jobs::cancel),
        route(Op::IntegrityStatus,    GET,    "/integrity/status",             integrity::status),
        route(Op::IntegrityViolation, POST,   "/integrity/violation",          integrity::violation),
        route(Op::IntegrityRestored,  POST,   "/integrity/restored",           integrity::restored),
        route(Op::SafeModeExit,       POST,   "/system/safe-mode/exit",        integrity::exit_safe_mode),
        route(Op::DeviceList,         GET,    "/devices",                      devices::list),
        route(Op::DeviceRegister,     POST,   "/devices",                      devices::register),
        route(Op::DeviceGet,          GET,    "/devices/{device_id}",          devices::show),
        route(Op::DeviceDelete,       DELETE, "/devices/{device_id}",          devices::delete),
        route(Op::DeviceSetState,     PATCH,  "/devices/{device_id}/state",    devices::set_state),
        route(Op::DeviceHistory,      GET,    "/devices/{device_id}/history",  devices::history),
        route(Op::EventPublish,       POST,   "/events/publish",               events::publish),
        route(Op::EventSubscribe,     POST,   "/events/subscribe",             events::subscribe),
        route(Op::EventUnsubscribe,   DELETE, "/events/subscriptions/{id}",    events::unsubscribe),
        route(Op::EventList,          GET,    "/events",                       events::list),
        route(Op::EventStream,        GET,    "/events/stream",                events::stream),
        route(Op::IntentRegister,     POST,   "/intents/register",             intents::register),
        route(Op::IntentList,         GET,    "/intents",                      intents::list),
        route(Op::IntentDelete,       DELETE, "/intents/{module}",             intents::delete),
        route(Op::SecretsProxy,       POST,   "/secrets/proxy",                secrets::proxy),
        route(Op::OAuthStart,         POST,   "/secrets/oauth/start",          secrets::oauth_start),
        route(Op::OAuthStatus,        GET,    "/secrets/oauth/status",         secrets::oauth_status),
        route(Op::ModuleList,         GET,    "/modules",                      modules::list),
        route(Op::ModuleInstall,      POST,   "/modules/install",              module_install::install),
        route(Op::ModuleGet,          GET,    "/modules/{name}",               modules::show),
        route(Op::ModuleRemove,       DELETE, "/modules/{name}",               modules::remove),
        // A module may bear this name too.
        route(Op::ModuleGet,          GET,    "/modules/install",              modules::show),
        route(Op::ModuleRemove,       DELETE, "/modules/install",              modules::remove),
        route(Op::ModuleStart,        POST,   "/modules/{name}/start",         modules::start),
        route(Op::ModuleStop,         POST,   "/modules/{name}/stop",          modules::stop),
        route(Op::ModuleRestart,      POST,   "/modules/{name}/restart",       modules::restart),
        route(Op::ModuleRollback,     POST,   "/modules/{name}/rollback",      modules::rollback),
        route(Op::ModuleLogs,         GET,    "/modules/{name}/logs",          modules::logs),
        route(Op::ModuleStatusStream, GET,    "/modules/{name}/status/stream", modules::status_stream),
        route(Op::ModuleConfigGet,    GET,    "/modules/{name}/config",        modules::config),
        route(Op::ModuleConfigSet,    POST,   "/modules/{name}/config",        modules::set_config),
        route(Op::ModuleCommand,      POST,   "/modules/{name}/command",       modules::command),
        route(Op::ConsentShow,        GET,    "/modules/{name}/consent",       modules::awaited_consent),
        route(Op::ConsentGive,        POST,   "/modules/{name}/consent",       modules::consent),
        route(Op::ConsentRefuse,      DELETE, "/modules/{name}/consent",       modules::refuse_consent),
        route(Op::BackupCreate,       POST,   "/backup",                       backup::create),
        route(Op::BackupCancel,       DELETE, "/backup",                       backup::cancel),
        route(Op::BackupCheck,        POST,   "/backup/check",                 backup::check),
        route(Op::BackupStatusStream, GET,    "/backup/status/stream",         backup::status_stream),
        route(Op::BackupRestore,      POST,   "/restore",                      backup::restore),
        route(Op::PublisherList,      GET,    "/publishers",                   publishers::list),
        route(Op::PublisherAdd,       POST,   "/publishers",                   publishers::add),
        route(Op::PublisherRotate,    POST,   "/publishers/rotate",            publishers::rotate),
        route(Op::PublisherTrust,     PATCH,  "/publishers/{key_id}",          publishers::set_trust),
        route(Op::PublisherRevoke,    POST,   "/publishers/{key_id}/revoke",   publishers::revoke),
    ]
}

/// The API, for every listener: made once, since it is a hundred KiB. A request needs its [`crate::context::Context`].
pub(crate) fn router() -> Router {
    static ROUTER: LazyLock<Router> = LazyLock::new(make);
    ROUTER.clone()
}

fn make() -> Router {
    let mut api = Router::new();
    let mut top = Router::new();
    for Route { operation, path, handler, .. } in table() {
        let guarded = handler.route_layer(from_fn_with_state(operation, guard::authorize));
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
        .layer(from_fn(guard::envelope))
        .layer(map_response(no_sniffing))
}

async fn no_sniffing(mut response: axum::response::Response) -> axum::response::Response {
    let nosniff = axum::http::HeaderValue::from_static("nosniff");
    response.headers_mut().insert(axum::http::header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// A path that is no route.
async fn unknown(context: Context, method: Method) -> Failure {
    uncounted(&context, &method, StatusCode::NOT_FOUND, "not_found", "there is no such path in this API")
}

async fn wrong_method(context: Context, method: Method) -> Failure {
    let detail = "this path does not take this method";
    uncounted(&context, &method, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// What no operation counts counts against the listener's limit, like any request without a token.
fn uncounted(context: &Context, method: &Method, status: StatusCode, code: &'static str, detail: &str) -> Failure {
    let counted = Identity::count_anonymous(&context.origin);
    match counted.and_then(|()| guard::check_mode(context, method)) {
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
        let routed: HashSet<_> = table().into_iter().map(|route| route.operation).collect();
        let all: HashSet<_> = Operation::ALL.iter().copied().collect();
        assert_eq!(routed, all);
    }
}
