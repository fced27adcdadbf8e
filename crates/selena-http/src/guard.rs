//! What every request passes before its handler: its id, its `Host`, its caller.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use selena_core::{
    ApiError, Operation,
    identity::{Caller, Credentials, Identity},
};
use uuid::Uuid;

use crate::{
    context::Context,
    error::{Failure, OfFlood, RefusalCode},
    routes::integrity,
};

const REQUEST_ID: &str = "x-request-id";

/// Gives every answer an `X-Request-Id`, refuses a `Host` that is not this listener's (protocol, section 5), and holds
/// answers to floods.
pub(crate) async fn envelope(context: Context, request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match context.port {
        Some(port) if !is_own_host(&request, port) => wrong_host(&context, port).into_response(),
        _ => next.run(request).await,
    };
    if response.extensions().get::<OfFlood>().is_some() {
        context.tarpit.hold().await;
    }
    tracing::debug!(request_id = id.to_str().unwrap_or_default(), %method, path, status = response.status().as_u16(), "request");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn wrong_host(context: &Context, port: u16) -> Failure {
    let code = "wrong_host";
    context.api.refused_with(code, &context.origin.listener(), "Host header");
    if let Err(error) = Identity::count_anonymous(&context.origin) {
        return error.into();
    }
    let detail = format!("the Host header must be localhost:{port}, 127.0.0.1:{port} or [::1]:{port}");
    Failure::new(StatusCode::MISDIRECTED_REQUEST, code, detail)
}

fn request_id(headers: &HeaderMap) -> HeaderValue {
    let good = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=64).contains(&bytes.len())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    headers
        .get(REQUEST_ID)
        .filter(good)
        .cloned()
        .unwrap_or_else(|| HeaderValue::from_str(&Uuid::new_v4().to_string()).expect("a UUID is ASCII"))
}

/// Whether `Host` is there exactly once and names this listener; an absolute-form target names another one.
fn is_own_host(request: &Request, port: u16) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some((name, host_port)) = host.to_str().ok().and_then(|host| host.rsplit_once(':')) else { return false };
    request.uri().authority().is_none()
        && host_port == port.to_string()
        && (name.eq_ignore_ascii_case("localhost") || matches!(name, "127.0.0.1" | "[::1]"))
}

/// Lets a request through to its handler if its caller may do the operation; the handler finds the caller in it.
/// What the handler then refuses is recorded too.
pub(crate) async fn authorize(
    State(operation): State<Operation>,
    context: Context,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    if !operation.passes_safe_mode()
        && let Err(error) = check_mode(&context, request.method())
    {
        context.api.refused_with(error.code(), &context.origin.listener(), &format!("{operation:?}"));
        return Err(error.into());
    }
    // The agent's word comes through whatever else floods this listener.
    if matches!(operation, Operation::IntegrityViolation | Operation::IntegrityRestored)
        && integrity::is_agent(&context, request.headers())
    {
        request.extensions_mut().insert(Caller::Anonymous);
        return Ok(next.run(request).await);
    }
    let caller = context.api.authorize(&context.origin, credentials(request.headers()), operation)?;
    let subject = caller.subject().to_owned();
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    if let Some(RefusalCode(code)) = response.extensions().get() {
        context.api.refused_with(code, &subject, &format!("{operation:?}"));
    }
    Ok(response)
}

/// In SAFE MODE only what reads goes on (protocol, section 8.2).
pub(crate) fn check_mode(context: &Context, method: &Method) -> Result<(), ApiError> {
    if matches!(*method, Method::GET | Method::HEAD) { Ok(()) } else { context.api.integrity().check_normal() }
}

/// The bearer token of a request, if there is exactly one `Authorization` header and it has one.
pub(crate) fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (None, _) => Credentials::None,
        (Some(value), None) => {
            let parts = value.to_str().ok().and_then(|text| text.split_once(' '));
            match parts.map(|(scheme, token)| (scheme, token.trim())) {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => {
                    Credentials::Bearer(token)
                }
                _ => Credentials::Malformed,
            }
        }
        (Some(_), Some(_)) => Credentials::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(uri: &str, hosts: &[&str]) -> Request {
        let mut builder = Request::builder().uri(uri);
        for host in hosts {
            builder = builder.header(header::HOST, *host);
        }
        builder.body(Body::empty()).expect("a request")
    }

    #[test]
    fn k10_only_the_listeners_own_host_and_only_once() {
        for good in ["localhost:7070", "127.0.0.1:7070", "[::1]:7070", "LOCALHOST:7070"] {
            assert!(is_own_host(&request("/x", &[good]), 7070), "{good}");
        }
        for bad in [
            "evil.example:7070",
            "localhost",
            "localhost:80",
            "localhost:07070",
            "127.0.0.2:7070",
            "localhost.:7070",
            "",
            "a@localhost:7070",
        ] {
            assert!(!is_own_host(&request("/x", &[bad]), 7070), "{bad}");
        }
        assert!(!is_own_host(&request("/x", &[]), 7070), "absent");
        assert!(!is_own_host(&request("/x", &["localhost:7070", "localhost:7070"]), 7070), "two");
        assert!(!is_own_host(&request("http://localhost:7070/x", &["localhost:7070"]), 7070), "absolute form");
    }

    #[test]
    fn k01_credentials_are_exactly_one_bearer_token() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).expect("a header"));
            }
            match credentials(&headers) {
                Credentials::Bearer(token) => format!("token {token}"),
                other => format!("{other:?}"),
            }
        };
        assert_eq!(of(&[]), "None");
        assert_eq!(of(&["Bearer abc"]), "token abc");
        assert_eq!(of(&["bearer abc"]), "token abc");
        for bad in [&[""][..], &["Bearer"], &["Bearer "], &["Basic abc"], &["abc"], &["Bearer a", "Bearer a"]] {
            assert_eq!(of(bad), "Malformed", "{bad:?}");
        }
    }

    #[test]
    fn a_request_id_is_kept_only_if_it_is_harmless() {
        let kept = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(value).expect("a header"));
            request_id(&headers).as_bytes() == value.as_bytes()
        };
        assert!(kept("a-1._X") && kept(&"x".repeat(64)));
        assert!(!kept("") && !kept(&"x".repeat(65)) && !kept("a b") && !kept("a\"b"));
    }
}
