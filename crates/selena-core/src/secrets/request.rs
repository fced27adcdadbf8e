//! What a module asks the proxy for.

use base64::{Engine, prelude::BASE64_STANDARD};
use selena_types::{Problems, fields::Object};
use serde_json::Value;

/// What may be asked.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// Most bytes of all names and values together.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Headers of a module that are not sent: the hub's own, those of one connection, and those by which proxies are told things.
const DROPPED: [&str; 14] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "cookie2",
];
/// What else is not sent begins so.
const DROPPED_PREFIXES: [&str; 2] = ["x-forwarded-", "proxy-"];

/// A request through the proxy, checked but for where it goes.
pub(crate) struct ProxyRequest {
    pub(crate) provider: String,
    pub(super) url: String,
    pub(super) method: &'static str,
    /// Without those that are dropped, and with a `content-type` if there is a body.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl ProxyRequest {
    /// Reads `{"provider","url","method","headers"?,"body"?}`.
    ///
    /// # Errors
    /// Every problem of the body.
    pub(crate) fn parse(body: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut object = Object::body(body, &mut problems);
        let provider = object.text("provider", 1..=64);
        let url = object.text("url", 1..=65_536);
        let method = object.word("method", &METHODS, |method| method);
        let given = object.optional_map("headers").unwrap_or_default();
        let mut headers = Vec::with_capacity(given.len());
        for (name, value) in given {
            match header(&name, &value) {
                Ok(header) => headers.extend(header.filter(|(name, _)| !is_dropped(name))),
                Err(what) => object.problem("headers", "header", what),
            }
        }
        let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            object.problem("headers", "headers_size", "at most 64 headers, and 16 KiB of them");
        }
        let content = content(object.get("body"));
        if let Err(what) = content {
            object.problem("body", "base64", what);
        }
        match (provider, url, method, content) {
            (Some(provider), Some(url), Some(method), Ok(content)) if problems.is_empty() => {
                let (kind, body) = content;
                let has_kind = headers.iter().any(|(name, _)| name == "content-type");
                headers.extend(kind.filter(|_| !has_kind).map(|kind| ("content-type".to_owned(), kind.to_owned())));
                Ok(Self { provider, url, method, headers, body })
            }
            _ => Err(problems),
        }
    }
}

/// A header as it is sent, its name in lower case; `None` for one without a value.
fn header(name: &str, value: &Value) -> Result<Option<(String, String)>, &'static str> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_text = |byte: u8| byte == b' ' || byte == b'\t' || byte.is_ascii_graphic();
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("a header's name is letters, digits and `-`");
    }
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.bytes().all(is_text) => {
            Ok(Some((name.to_ascii_lowercase(), text.trim().to_owned())))
        }
        _ => Err("a header's value is a text of printable ASCII characters"),
    }
}

fn is_dropped(name: &str) -> bool {
    DROPPED.contains(&name) || DROPPED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The bytes of a body and what they are, as far as the module does not say.
fn content(body: Option<&Value>) -> Result<(Option<&'static str>, Vec<u8>), &'static str> {
    match body {
        None => Ok((None, Vec::new())),
        Some(Value::String(text)) => Ok((Some("text/plain; charset=utf-8"), text.clone().into_bytes())),
        Some(Value::Object(map)) if map.len() == 1 && map.contains_key("base64") => {
            let text = map["base64"].as_str().ok_or("`base64` must be a text")?;
            let bytes = BASE64_STANDARD.decode(text).map_err(|_| "`base64` is not valid base64")?;
            Ok((Some("application/octet-stream"), bytes))
        }
        Some(json) => Ok((Some("application/json"), json.to_string().into_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(extra: Value) -> Result<ProxyRequest, Problems> {
        let mut body = json!({ "provider": "music", "url": "https://api.example.com/", "method": "POST" });
        for (key, value) in extra.as_object().expect("an object") {
            body[key] = value.clone();
        }
        ProxyRequest::parse(&body)
    }

    #[test]
    fn a_modules_headers_lose_what_is_the_hubs() {
        let headers = json!({
            "Authorization": "Bearer mine", "AUTHORIZATION": "x", "Cookie": "a", "Host": "evil.example", "Connection": "x",
            "Upgrade": "h2c", "TE": "trailers", "Forwarded": "for=1", "X-Forwarded-For": "1", "X-Forwarded-Host": "x",
            "Proxy-Authorization": "x", "Proxy-Connection": "x", "Content-Length": "1", "Transfer-Encoding": "chunked",
            "Keep-Alive": "1", "Accept-Encoding": "gzip", "Expect": "100-continue", "Trailer": "x", "X-None": null,
            "X-Kept": " yes ", "Accept": "application/json",
        });
        let request = parse(json!({ "headers": headers })).expect("it is good");
        let kept: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(kept, ["x-kept=yes", "accept=application/json"]);
    }

    #[test]
    fn a_body_is_json_text_or_bytes() {
        for (body, kind, bytes) in [
            (json!(null), "", ""),
            (json!("plain"), "text/plain; charset=utf-8", "plain"),
            (json!({ "a": [1, null] }), "application/json", "{\"a\":[1,null]}"),
            (json!(7), "application/json", "7"),
            (json!({ "base64": "aGk=" }), "application/octet-stream", "hi"),
            (json!({ "base64": "aGk=", "more": 1 }), "application/json", "{\"base64\":\"aGk=\",\"more\":1}"),
        ] {
            let request = parse(json!({ "body": body })).expect("it is good");
            assert_eq!(request.body, bytes.as_bytes(), "{body}");
            assert_eq!(request.headers.first().map_or("", |(_, value)| value), kind, "{body}");
        }
        let own = parse(json!({ "headers": { "Content-Type": "text/csv" }, "body": "a,b" })).expect("it is good");
        assert_eq!(own.headers, [("content-type".to_owned(), "text/csv".to_owned())]);
    }

    #[test]
    fn what_breaks_a_rule_is_told() {
        let many: serde_json::Map<_, _> = (0..65).map(|n| (format!("x-{n}"), json!("1"))).collect();
        for bad in [
            json!({ "method": "TRACE" }),
            json!({ "method": "get" }),
            json!({ "method": "CONNECT" }),
            json!({ "url": "" }),
            json!({ "url": 7 }),
            json!({ "provider": null }),
            json!({ "headers": [] }),
            json!({ "headers": { "a\r\nb": "1" } }),
            json!({ "headers": { "": "1" } }),
            json!({ "headers": { "a": "1\r\nAuthorization: x" } }),
            json!({ "headers": { "a": 1 } }),
            json!({ "headers": { "a": "ä" } }),
            json!({ "headers": { "a": "x".repeat(20_000) } }),
            json!({ "headers": many }),
            json!({ "body": { "base64": "!" } }),
            json!({ "body": { "base64": 1 } }),
        ] {
            assert!(parse(bad.clone()).is_err(), "{bad}");
        }
        assert!(ProxyRequest::parse(&json!([])).is_err());
    }
}
