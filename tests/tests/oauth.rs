//! A module signs in to a provider and uses its token without ever seeing it (protocol, section 7), end to end: a real
//! container, a real provider with a certificate of its own, and a hub that is killed in between.

use std::{
    fs,
    os::unix::process::CommandExt,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use selena_tests::{
    Engine, Hub, Options, Outside, Package,
    outside::{Answers, HOST},
    search, wait,
};
use serde_json::{Value, json};

/// What nobody but the hub and the provider may ever see.
const CANARIES: [&str; 3] = ["canary-device-code", "canary-access-token", "canary-refresh-token"];

/// A provider whose person agrees when `agrees` is set.
fn provider(agrees: Arc<AtomicBool>) -> Answers {
    Box::new(move |asked| match asked.line.as_str() {
        "POST /device" => (
            200,
            json!({
                "device_code": CANARIES[0], "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 1,
                "verification_uri": format!("https://{HOST}/activate"),
            })
            .to_string(),
        ),
        "POST /token" if agrees.load(Ordering::SeqCst) => (
            200,
            json!({
                "access_token": CANARIES[1], "token_type": "Bearer", "expires_in": 3600, "refresh_token": CANARIES[2],
            })
            .to_string(),
        ),
        "POST /token" => (400, json!({ "error": "authorization_pending" }).to_string()),
        "GET /me" => (200, json!({ "playing": "a song" }).to_string()),
        "POST /revoke" => (200, String::new()),
        _ => (404, String::new()),
    })
}

fn music() -> Package {
    let permissions = json!(["events.subscribe", "secrets.oauth", "secrets.proxy"]);
    let acme = json!({
        "device_authorization_url": format!("https://{HOST}/device"),
        "token_url": format!("https://{HOST}/token"),
        "revocation_url": format!("https://{HOST}/revoke"),
        "client_id": "hub", "scopes": ["player"], "api_hosts": [HOST],
    });
    Package::probe("music", 8100).with("permissions", permissions).with("oauth", json!({ "acme": acme }))
}

/// A hub that runs the module, which a person let have its provider.
fn hub(outside: &Outside) -> Hub {
    let hub = Hub::with(Options { log_level: "trace", ca_file: Some(outside.ca_file()), ..Options::default() });
    let asked = hub.try_install(&music()).expect(202).json();
    assert_eq!(asked["adds"]["oauth_hosts"], json!([HOST]), "the person sees where tokens come from and go to");
    let acme = &asked["adds"]["oauth"]["acme"];
    assert_eq!((&acme["client_id"], &acme["scopes"]), (&json!("hub"), &json!(["player"])), "and what for, and as whom");
    let mut partly = json!({ "version": asked["version"], "adds": asked["adds"] });
    partly["adds"].as_object_mut().expect("an object").remove("oauth");
    let consent_path = "/modules/music/consent";
    hub.admin().post(consent_path, &partly).refused(409, "consent_changed");
    assert!(hub.try_module("music").is_none(), "nothing was granted that was not shown");
    let consent = json!({ "version": asked["version"], "adds": asked["adds"] });
    let _running = hub.admin().post(consent_path, &consent).expect(200);
    hub
}

fn status(hub: &Hub) -> Value {
    hub.module("music").core().get("/secrets/oauth/status?provider=acme").expect(200).json()["status"].clone()
}

#[test]
fn a_module_uses_a_token_it_never_sees_and_its_removal_leaves_none() {
    let agrees = Arc::new(AtomicBool::new(false));
    Outside::with(provider(agrees.clone()), move |outside| {
        let mut hub = hub(outside);
        let me = json!({ "provider": "acme", "method": "GET", "url": format!("https://{HOST}/me") });
        let core = hub.module("music").core();
        assert_eq!(core.get("/secrets/oauth/status?provider=acme").status, 404);
        assert_eq!(core.post("/secrets/proxy", &me).expect(404).json()["code"], "no_credentials");
        let shown = core.post("/secrets/oauth/start", &json!({ "provider": "acme", "scopes": ["player"] })).expect(200);
        assert_eq!(shown.json()["user_code"], "WDJB-MJHT");
        wait::until("the hub asks after it", 20, || !outside.asked("POST /token").is_empty());
        assert_eq!(status(&hub), "pending");

        hub.kill();
        let asked = outside.asked("POST /token").len();
        hub.start_again();
        wait::until("the module runs again", 60, || hub.status("music") == "RUNNING");
        let module = hub.module("music");
        wait::until("the hub goes on asking", 20, || outside.asked("POST /token").len() > asked);
        agrees.store(true, Ordering::SeqCst);
        wait::until("the sign-in is completed", 20, || status(&hub) == "completed");
        assert_eq!(hub.events("core.oauth.completed")[0]["payload"], json!({ "module": "music", "provider": "acme" }));

        let answer = module.core().post("/secrets/proxy", &me).expect(200);
        assert_eq!((&answer.json()["status_code"], &answer.json()["body"]["playing"]), (&json!(200), &json!("a song")));
        let sent = &outside.asked("GET /me")[0];
        assert!(sent.head.contains(&format!("authorization: Bearer {}", CANARIES[1])), "{}", sent.head);
        assert_eq!(outside.asked("GET /me").len(), 1);
        for (what, text) in [("the start's answer", shown.text()), ("the proxy's answer", answer.text())] {
            assert!(CANARIES.iter().all(|canary| !text.contains(canary)), "{what}");
        }
        nothing_is_in_clear(&hub);

        let tokens = hub.data_dir().join("secure/tokens");
        assert!(tokens.join("music/acme.enc").exists());
        let _removed = hub.client().delete("/modules/music").expect(204);
        assert_eq!(fs::read_dir(&tokens).expect("it is there").count(), 0);
        wait::until("the provider is told", 20, || !outside.asked("POST /revoke").is_empty());
        assert!(outside.asked("POST /revoke")[0].body.contains(&format!("token={}", CANARIES[2])));
        wait::until("that is recorded", 20, || !hub.audit("oauth_revoked").is_empty());
    });
}

#[test]
fn an_update_that_drops_the_provider_deletes_its_tokens_once_it_is_done() {
    Outside::with(provider(Arc::new(AtomicBool::new(true))), |outside| {
        let hub = hub(outside);
        let _shown =
            hub.module("music").core().post("/secrets/oauth/start", &json!({ "provider": "acme" })).expect(200);
        wait::until("the sign-in is completed", 20, || status(&hub) == "completed");
        let file = hub.data_dir().join("secure/tokens/music/acme.enc");
        assert!(file.exists());
        let without = Package::probe("music", 8100).version("1.0.1").with("permissions", json!(["events.subscribe"]));
        let _updated = hub.try_install(&without).expect(201);
        // The version before may come back within a minute, and then it needs them; no other one can use them.
        assert!(file.exists() && outside.asked("POST /revoke").is_empty());
        wait::until("the update is done", 90, || !file.exists());
        wait::until("the provider is told", 20, || !outside.asked("POST /revoke").is_empty());
    });
}

/// No canary in files, in a log at TRACE, in an answer to people, or in memory that others can read (S10).
fn nothing_is_in_clear(hub: &Hub) {
    let log = hub.log();
    assert!(log.contains("TRACE"), "the log was complete");
    assert!(CANARIES.iter().all(|canary| !log.contains(canary)), "the log");
    assert_eq!(search::files_with(&hub.data_dir(), &CANARIES), [""; 0], "files");
    for path in ["/audit", "/events", "/modules/music", "/modules/music/logs"] {
        let answer = hub.admin().get(path).expect(200).text();
        assert!(CANARIES.iter().all(|canary| !answer.contains(canary)), "{path}");
    }
    assert_eq!(search::processes_with("cmdline", &CANARIES), [""; 0], "command lines");
    let container = Engine::default().inspect(&hub.container("music")).to_string();
    assert!(CANARIES.iter().all(|canary| !container.contains(canary)), "docker inspect");
}

#[test]
fn s10_nobody_else_reads_the_hubs_memory_and_it_makes_no_core_dump() {
    let hub = Hub::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", hub.pid())).expect("the hub runs");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of core files");
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    let memory = format!("/proc/{}/mem", hub.pid());
    let mut other = Command::new("cat");
    let outcome = other.arg(&memory).uid(65_534).gid(65_534).output().expect("cat runs");
    assert!(!outcome.status.success() && outcome.stdout.is_empty(), "another user read it");
    let refused = String::from_utf8_lossy(&outcome.stderr);
    assert!(refused.contains("Permission denied"), "{refused}");
}
