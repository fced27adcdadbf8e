//! Tokens: whose they are, where they are good, and how long (series K).

use selena_tests::{Door, Hub, Package, http::Request, wait};
use serde_json::json;

#[test]
fn k01_without_one_good_token_401() {
    let hub = Hub::unlimited();
    let none = hub.anonymous();
    let long = format!("Bearer {}", "x".repeat(10 * 1024));
    for value in ["", "Bearer", "Bearer ", "Basic abc", "Bearer wrong", &long] {
        let answer = none.send(&Request::new("GET", "/devices").header("Authorization", value));
        answer.refused(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{value:?}");
    }
    none.get("/devices").refused(401, "unauthenticated");
    let twice =
        hub.client().send(&Request::new("GET", "/devices").header("Authorization", &format!("Bearer {}", hub.token())));
    twice.refused(401, "unauthenticated");
    let _devices = hub.client().get("/devices").expect(200);
}

#[test]
fn k02_a_token_is_useless_elsewhere() {
    let hub = Hub::start();
    let one = hub.install(&Package::probe("one", 8100));
    let two = hub.install(&Package::probe("two", 8101));
    let _own = one.core().get("/devices").expect(200);
    two.core_without_token().with_token(&one.token()).get("/devices").refused(403, "token_wrong_namespace");
    hub.anonymous().with_token(&one.token()).get("/devices").refused(403, "token_wrong_namespace");
    one.core_without_token().with_token(hub.token()).get("/devices").refused(403, "token_wrong_namespace");
    let records = wait::for_some("each listener leaves a record", 5, || {
        Some(hub.audit("token_wrong_namespace")).filter(|records| records.len() >= 3)
    });
    for secret in [one.token(), hub.token().to_owned()] {
        assert!(!json!(records).to_string().contains(&secret), "no secret in a record");
    }
}

#[test]
fn k03_old_tokens_are_refused() {
    let hub = Hub::start();
    let first = hub.install(&Package::probe("one", 8100));
    let earlier = first.token();
    let _running = hub.client().post("/modules/one/restart", &json!({})).expect(200);
    let second = hub.module("one");
    let current = second.token();
    assert_ne!(earlier, current, "every start has a token of its own");
    second.core_without_token().with_token(&earlier).get("/devices").refused(401, "unauthenticated");
    hub.anonymous().with_token(&earlier).get("/devices").refused(401, "unauthenticated");

    let _stopped = hub.client().post("/modules/one/stop", &json!({})).expect(200);
    hub.anonymous().with_token(&current).get("/devices").refused(403, "token_wrong_namespace");
    let _removed = hub.client().delete("/modules/one").expect(204);
    hub.anonymous().with_token(&current).get("/devices").refused(401, "unauthenticated");
}

#[test]
fn k04_one_changed_character_is_another_token() {
    let hub = Hub::unlimited();
    let good = hub.token().to_owned();
    for place in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
        let wrong = String::from_utf8(bytes).unwrap();
        hub.anonymous().with_token(&wrong).get("/devices").refused(401, "unauthenticated");
    }
}

#[test]
fn k07_what_no_permission_grants_is_refused_to_modules() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("one", 8100).with("permissions", json!(["device.read"])).start(json!({})));
    let core = module.core();
    let denied = |request: Request, permission: &str| {
        let answer = core.send(&request);
        answer.refused(403, "permission_denied");
        assert_eq!(answer.json()["detail"], format!("Permission '{permission}' not granted in manifest.json"));
    };
    let new = |method: &str, path: &str| Request::new(method, path).json(&json!({}));
    let device = hub.device("actuator");
    denied(new("POST", "/devices"), "device.write");
    denied(new("PATCH", &format!("/devices/{device}/state")), "device.write");
    denied(new("DELETE", &format!("/devices/{device}")), "device.write");
    denied(new("POST", "/events/publish"), "events.publish");
    denied(new("POST", "/events/subscribe"), "events.subscribe");
    denied(new("GET", "/events"), "events.subscribe");
    denied(new("GET", "/events/stream"), "events.subscribe");
    denied(new("GET", "/modules"), "modules.read");
    for (method, path) in [
        ("GET", "/modules/one"),
        ("POST", "/modules/install"),
        ("POST", "/modules/one/start"),
        ("POST", "/modules/one/stop"),
        ("POST", "/modules/one/restart"),
        ("POST", "/modules/one/consent"),
        ("DELETE", "/modules/one/consent"),
        ("POST", "/modules/one/config"),
        ("GET", "/modules/one/logs"),
        ("GET", "/modules/one/status/stream"),
        ("DELETE", "/modules/one"),
    ] {
        denied(new(method, path), "modules.manage");
    }
    assert_eq!(core.get("/system/info").status, 403);
    assert_eq!(core.get("/audit").status, 403);
    for path in ["/devices".to_owned(), format!("/devices/{device}"), format!("/devices/{device}/history")] {
        let _granted = core.get(&path).expect(200);
    }
    assert_eq!(hub.status("one"), "RUNNING", "nothing of it was done");
}

#[test]
fn k07_an_integration_deletes_no_devices_whatever_its_manifest_says() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("one", 8100));
    let body = json!({ "name": "own", "type": "sensor", "protocol": "test" });
    let device = module.core().post("/devices", &body).expect(201).json()["device_id"].as_str().unwrap().to_owned();
    module.core().delete(&format!("/devices/{device}")).refused(403, "permission_denied");
    let driver = hub.install(&Package::probe("two", 8101).with("type", json!("DRIVER")));
    driver.core().delete(&format!("/devices/{device}")).refused(403, "not_your_device");
    let own = driver.core().post("/devices", &body).expect(201).json()["device_id"].as_str().unwrap().to_owned();
    let _gone = driver.core().delete(&format!("/devices/{own}")).expect(204);
}

#[test]
fn k09_too_many_requests_429() {
    let hub = Hub::start();
    let flood = |count: usize, client: &selena_tests::Client| {
        let mut statuses: Vec<_> = (0..count).map(|_| client.get("/devices")).collect();
        let last = statuses.pop().unwrap();
        last.refused(429, "rate_limited");
        assert_eq!(last.header("retry-after"), Some("1"));
        statuses.iter().filter(|answer| answer.status != 429).count()
    };
    let passed = flood(130, &hub.client());
    assert!((100..=110).contains(&passed), "100 a second with a token: {passed}");
    let passed = flood(40, &hub.anonymous());
    assert!((20..=25).contains(&passed), "20 a second without: {passed}");
    let _not_hit = hub.admin().get("/devices").expect(200);
    wait::until("the window passes", 3, || hub.client().get("/devices").status == 200);
    wait::until("it leaves a record", 5, || !hub.audit("rate_limited").is_empty());
}

#[test]
fn k10_the_host_header_is_the_listeners_own_once() {
    let hub = Hub::unlimited();
    let port = hub.port();
    let door = Door::Port(port);
    let status = |target: &str, hosts: &[String]| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        let answer =
            door.send_raw(format!("GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n").as_bytes()).unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let health = "/api/v1/health";
    for good in ["localhost", "127.0.0.1", "[::1]"] {
        assert_eq!(status(health, &[format!("{good}:{port}")]), "200", "{good}");
    }
    let own = format!("localhost:{port}");
    for bad in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "localhost".into(),
        "localhost:1".into(),
        format!("hub.local:{port}"),
    ] {
        assert_eq!(status(health, std::slice::from_ref(&bad)), "421", "{bad}");
    }
    assert!(["421", "400"].contains(&status(health, &[]).as_str()), "no Host");
    assert!(["421", "400"].contains(&status(health, &[own.clone(), own.clone()]).as_str()), "two Hosts");
    let absolute = format!("http://{own}{health}");
    assert!(["421", "400"].contains(&status(&absolute, &[own]).as_str()), "absolute form");
}

/// The API has no sessions: a cookie is nobody's proof, whatever it holds, and is given to nobody.
#[test]
fn k08_a_cookie_is_no_credential() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("baker", 8100));
    let token = module.token();
    let cookies = [format!("session={token}"), format!("token={token}"), format!("Authorization=Bearer {token}")];
    for cookie in &cookies {
        let request = Request::new("GET", "/devices").header("Cookie", cookie);
        for client in [module.core_without_token(), hub.anonymous()] {
            client.send(&request).refused(401, "unauthenticated");
        }
    }
    // Beside a token it says nothing, neither for nor against.
    let with_both = Request::new("GET", "/devices").header("Cookie", "session=fixed");
    let answer = module.core().send(&with_both).expect(200);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(hub.client().send(&with_both).expect(200).header("set-cookie"), None);
}
