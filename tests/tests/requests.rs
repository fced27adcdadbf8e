//! What every request meets: ids, errors, limits of bodies (protocol, section 5).

use selena_tests::{Door, Hub, http::Request};
use serde_json::{Value, json};

#[test]
fn health_and_info_tell_what_the_protocol_says() {
    let hub = Hub::start();
    let health = hub.anonymous().get("/health").expect(200).json();
    let fields: Vec<_> = health.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["status", "version", "mode", "uptime", "integrity"]);
    assert!(health["uptime"].is_u64() && health["mode"] == "normal", "{health}");
    let anonymous = hub.anonymous().get("/system/info").expect(200).json();
    let fields: Vec<_> = anonymous.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["version", "initialized"], "nobody known learns no more");
    let info = hub.client().get("/system/info").expect(200).json();
    for field in ["version", "initialized", "commit", "build_time", "hardware", "storage"] {
        assert!(!info[field].is_null(), "{field}: {info}");
    }
}

#[test]
fn a_request_id_is_echoed_or_made() {
    let hub = Hub::start();
    let id = |sent: Option<&str>, path: &str| {
        let mut request = Request::new("GET", path);
        if let Some(sent) = sent {
            request = request.header("X-Request-Id", sent);
        }
        hub.client().send(&request).header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id(Some("a-1._X"), "/devices"), "a-1._X");
    assert_eq!(id(Some(&"x".repeat(64)), "/devices"), "x".repeat(64));
    assert_eq!(id(Some("mine"), "/nowhere"), "mine", "on errors too");
    for bad in ["", &"x".repeat(65), "a b", "a\"b", "ä"] {
        let made = id(Some(bad), "/devices");
        assert!(made.len() == 36 && made != bad, "{bad:?}: {made}");
    }
    assert_ne!(id(None, "/devices"), id(None, "/devices"));
}

#[test]
fn errors_are_json_with_a_code() {
    let hub = Hub::start();
    hub.client().get("/nowhere").refused(404, "not_found");
    hub.client().delete("/health").refused(405, "method_not_allowed");
    let outside = Door::Port(hub.port()).send_raw(
        format!("GET /etc/passwd HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n", hub.port()).as_bytes(),
    );
    assert!(outside.unwrap().starts_with("HTTP/1.1 404"));
    let answer = hub.client().get("/devices").expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "no CORS");
    let preflight = Request::new("OPTIONS", "/devices").header("Origin", "http://evil.example");
    let preflight = hub.anonymous().send(&preflight.header("Access-Control-Request-Method", "POST"));
    assert!(preflight.status >= 400 && preflight.header("access-control-allow-origin").is_none());
}

#[test]
fn e02_a_body_is_at_most_a_mebibyte_and_32_levels_deep() {
    let hub = Hub::start();
    let publish = |payload: &str| {
        let body = format!(r#"{{"event_type":"test.x","payload":{payload}}}"#);
        hub.client().send(&Request::new("POST", "/events/publish").body("application/json", body))
    };
    let text = |bytes: usize| format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes));
    let _fits = publish(&text(1024 * 1024 - 200)).expect(200);
    publish(&text(1024 * 1024)).refused(413, "body_too_large");
    // The body itself is the first level, the payload the second.
    let nested = |levels: usize| format!(r#"{{"x":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let _deepest = publish(&nested(30)).expect(200);
    assert_eq!(publish(&nested(31)).expect(422).json()["detail"][0]["loc"], json!(["body"]));
    let _still_an_answer = publish(&nested(10_000)).expect(422);
    for bad in ["NaN", r#"{"x":1e400}"#, r#"{"x":"\ud800"}"#, "{'x':1}", r#"{"x":1"#] {
        let _refused = publish(bad).expect(422);
    }
    let chunked = format!(
        "POST /api/v1/events/publish HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        hub.port(),
        hub.token()
    );
    let mut chunked = chunked.into_bytes();
    for _ in 0..20 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&vec![b' '; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = Door::Port(hub.port()).send_raw(&chunked).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    let _lives = hub.client().get("/devices").expect(200);
}

#[test]
fn n01_malformed_http_is_refused_and_leaves_the_hub_alive() {
    let mut hub = Hub::unlimited();
    let long = "x".repeat(200 * 1024);
    for raw in [
        "\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03".to_owned(),
        format!("GET /{long} HTTP/1.1\r\n\r\n"),
        format!("GET /api/v1/health HTTP/1.1\r\nX: {long}\r\n\r\n"),
        format!("GET /api/v1/health HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500)),
        "POST /api/v1/devices HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "POST /api/v1/devices HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".to_owned(),
        "POST /api/v1/devices HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        "GET /api/v1/health HTTP/1.1\nHost: x\n\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let answer = Door::Port(hub.port()).send_cut(raw.as_bytes()).unwrap();
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(answer.is_empty() || status.starts_with('4') || status.starts_with('5'), "{:.60}: {answer}", raw);
    }
    assert!(hub.lives());
    let _answers = hub.client().get("/devices").expect(200);
}

#[test]
fn the_admin_socket_is_for_people_without_a_token() {
    let hub = Hub::start();
    let device =
        hub.admin().post("/devices", &json!({ "name": "n", "type": "virtual", "protocol": "p" })).expect(201).json();
    assert_eq!(device["module_id"], Value::Null, "a person is no module");
    let _read = hub.admin().get("/audit").expect(200);
    assert_eq!(hub.client().get("/audit").status, 403, "the log is people's");
    let answer =
        hub.admin().post("/events/subscribe", &json!({ "event_types": ["*"], "webhook_url": "http://localhost:1/" }));
    assert_eq!(answer.status, 403, "people have no webhooks");
}
