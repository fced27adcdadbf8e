//! Requests outside in a module's name, at the door of a real hub that has no credentials yet (protocol, section 7).
//! What happens outside is tried over a small internet, in `selena-testkit`.

use selena_tests::{Hub, Module, Package, wait};
use serde_json::{Value, json};

/// An installed `INTEGRATION` that may use one host of one provider, after a person agreed to it.
fn singer(hub: &Hub) -> Module {
    let package = Package::probe("singer", 8100)
        .with("permissions", json!(["events.subscribe", "device.read", "secrets.oauth", "secrets.proxy"]))
        .with(
            "oauth",
            json!({ "music": {
                "device_authorization_url": "https://auth.example.com/device", "token_url": "https://auth.example.com/token",
                "client_id": "hub", "scopes": ["songs"], "api_hosts": ["api.example.com", "api.example.com:8443"],
            } }),
        );
    let shown = hub.try_install(&package).expect(202).json();
    let hosts = json!(["api.example.com", "api.example.com:8443", "auth.example.com"]);
    assert_eq!(shown["adds"]["oauth_hosts"], hosts, "a person sees where the tokens go");
    let consent = json!({ "version": shown["version"], "adds": shown["adds"] });
    let _granted = hub.admin().post("/modules/singer/consent", &consent).expect(200);
    hub.module("singer")
}

fn get(url: &str) -> Value {
    json!({ "provider": "music", "url": url, "method": "GET" })
}

#[test]
fn a_module_is_refused_with_a_reason_and_a_record_or_told_that_there_are_no_credentials() {
    let hub = Hub::start();
    let core = singer(&hub).core();
    for (url, code) in [
        ("http://api.example.com/", "proxy_scheme"),
        ("https://127.0.0.1:7070/api/v1/health", "proxy_address"),
        ("https://[::ffff:7f00:1]/", "proxy_address"),
        ("https://api.example.com.evil.com/", "proxy_host"),
        ("https://auth.example.com/token", "proxy_host"),
        ("https://api.example.com:22/", "proxy_port"),
        ("https://api.example.com@evil.example.com/", "proxy_url"),
    ] {
        core.post("/secrets/proxy", &get(url)).refused(403, code);
        let record = wait::for_some("the refusal is recorded", 5, || hub.audit(code).into_iter().next());
        assert_eq!(record["subject"], "singer", "{url}");
    }
    let other = json!({ "provider": "mail", "url": "https://api.example.com/", "method": "GET" });
    core.post("/secrets/proxy", &other).refused(403, "proxy_provider");
    for url in ["https://api.example.com/v1", "https://api.example.com:8443/"] {
        core.post("/secrets/proxy", &get(url)).refused(404, "no_credentials");
    }
    assert_eq!(core.post("/secrets/proxy", &json!({ "provider": "music" })).status, 422);
    assert!(hub.audit("egress").is_empty(), "nothing was sent");
}

#[test]
fn nobody_else_asks_outside_in_its_name() {
    let hub = Hub::start();
    let _singer = singer(&hub);
    let without = hub.install(&Package::probe("listener", 8101));
    let request = get("https://api.example.com/");
    without.core().post("/secrets/proxy", &request).refused(403, "permission_denied");
    hub.admin().post("/secrets/proxy", &request).refused(403, "permission_denied");
    hub.client().post("/secrets/proxy", &request).refused(404, "no_credentials");
    hub.anonymous().post("/secrets/proxy", &request).refused(401, "unauthenticated");
}
