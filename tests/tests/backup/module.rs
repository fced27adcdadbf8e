//! One module: it comes back as it was, and nothing else changes; its tokens work on another hub.

use std::fs;

use selena_tests::{
    Hub, Options, Outside, Package,
    outside::{Answers, HOST},
    search, wait,
};
use serde_json::json;

use super::{NOTES, backup, desk, restore};

#[test]
fn a_module_comes_back_as_it_was_and_others_are_left_alone() {
    let hub = Hub::start();
    let one = hub.install(&Package::probe("one", 8100));
    let two = hub.install(&Package::probe("two", 8101));
    let body = json!({ "name": "mine", "type": "sensor", "protocol": "test" });
    let device = one.core().post("/devices", &body).expect(201).json()["device_id"].as_str().expect("an id").to_owned();
    let state = |value: u32| json!({ "state": { "value": value } });
    let _set = one.core().patch(&format!("/devices/{device}/state"), &state(1)).expect(200);
    let _set = hub.admin().post("/modules/one/config", &json!({ "key": "every", "value": 7 }));
    one.act(&json!({ "act": "write", "path": NOTES, "text": "as it was" }));
    let (desk, key) = desk();
    let _file = backup(&desk, &hub, "one.age", &["--module", "one"]);
    assert!(!desk.path().join("one.age.part").exists());
    assert_eq!(hub.module("two").container, two.container, "another module was not stopped for it");

    let one = hub.hears_again("one", 20);
    one.act(&json!({ "act": "write", "path": NOTES, "text": "spoilt" }));
    let _set = hub.admin().post("/modules/one/config", &json!({ "key": "every", "value": 8 }));
    let _set = one.core().patch(&format!("/devices/{device}/state"), &state(2)).expect(200);
    restore(&desk, &hub, &key, "one.age", &[]).refused("backup_replace");
    let told = restore(&desk, &hub, &key, "one.age", &["--replace"]).done().json();
    assert_eq!((&told["status"], &told["modules"][0]["notes"]), (&json!("RESTORED"), &json!([])), "{told}");
    let one = hub.hears_again("one", 20);
    assert_eq!(one.act(&json!({ "act": "read", "path": NOTES }))["done"], "as it was");
    assert_eq!(hub.admin().get("/modules/one/config").json(), json!({ "config": { "every": 7 } }));
    let now = one.core().get(&format!("/devices/{device}")).expect(200).json();
    assert_eq!((&now["state"]["value"], &now["module_id"]), (&json!(1), &json!("one")));
    assert_eq!(hub.module("two").container, two.container, "another module was left alone");

    // After a start of the hub it is the same; and removed, it comes back without `--replace`.
    let mut hub = hub;
    hub.kill();
    hub.start_again();
    let one = hub.hears_again("one", 30);
    assert_eq!(one.act(&json!({ "act": "read", "path": NOTES }))["done"], "as it was");
    let _gone = hub.client().delete("/modules/one").expect(204);
    let _other_has_its_port = hub.install(&Package::probe("three", 8100));
    restore(&desk, &hub, &key, "one.age", &[]).refused("port_taken");
    let _gone = hub.client().delete("/modules/three").expect(204);
    let _back = restore(&desk, &hub, &key, "one.age", &[]).done();
    let now = hub.hears_again("one", 20).core().get(&format!("/devices/{device}")).expect(200).json();
    assert_eq!(now["module_id"], "one", "a device that had lost its module is its again");
}

fn provider() -> Answers {
    Box::new(|asked| match asked.line.as_str() {
        "POST /device" => {
            let uri = format!("https://{HOST}/activate");
            let text = json!({
                "device_code": "canary-device-code", "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 1,
                "verification_uri": uri,
            });
            (200, text.to_string())
        }
        "POST /token" => {
            let text = json!({
                "access_token": "canary-access-token", "token_type": "Bearer", "expires_in": 3600,
                "refresh_token": "canary-refresh-token",
            });
            (200, text.to_string())
        }
        "GET /me" => (200, json!({ "playing": "a song" }).to_string()),
        _ => (404, String::new()),
    })
}

fn music() -> Package {
    let permissions = json!(["events.subscribe", "secrets.oauth", "secrets.proxy"]);
    let acme = json!({
        "device_authorization_url": format!("https://{HOST}/device"),
        "token_url": format!("https://{HOST}/token"),
        "client_id": "hub", "scopes": ["player"], "api_hosts": [HOST],
    });
    Package::probe("music", 8100).with("permissions", permissions).with("oauth", json!({ "acme": acme }))
}

#[test]
fn tokens_of_the_vault_work_on_another_hub_and_are_in_clear_on_neither() {
    Outside::with(provider(), |outside| {
        let start =
            || Hub::with(Options { log_level: "trace", ca_file: Some(outside.ca_file()), ..Options::default() });
        let old = start();
        let asked = old.try_install(&music()).expect(202).json();
        let consent = json!({ "version": asked["version"], "adds": asked["adds"] });
        let _running = old.admin().post("/modules/music/consent", &consent).expect(200);
        let core = old.module("music").core();
        let _shown = core.post("/secrets/oauth/start", &json!({ "provider": "acme" })).expect(200);
        wait::until("the sign-in is completed", 20, || {
            core.get("/secrets/oauth/status?provider=acme").expect(200).json()["status"] == "completed"
        });
        let (desk, key) = desk();
        let file = backup(&desk, &old, "music.age", &["--module", "music"]);
        let new = start();
        let told = restore(&desk, &new, &key, "music.age", &[]).done().json();
        assert_eq!(told["modules"][0]["notes"], json!([]), "consent came with it: {told}");
        let me = json!({ "provider": "acme", "method": "GET", "url": format!("https://{HOST}/me") });
        let answer = new.module("music").core().post("/secrets/proxy", &me).expect(200).json();
        assert_eq!(answer["body"]["playing"], "a song");
        let head = &outside.asked("GET /me")[0].head;
        assert!(head.contains("authorization: Bearer canary-access-token"), "{head}");

        let canaries = ["canary-access-token", "canary-refresh-token", super::IDENTITY];
        for hub in [&old, &new] {
            assert_eq!(search::files_with(&hub.data_dir(), &canaries), [""; 0], "files");
            let log = hub.log() + &hub.sandbox_log();
            assert!(log.contains("TRACE") && canaries.iter().all(|canary| !log.contains(canary)), "the log");
        }
        let bytes = fs::read(file).expect("readable");
        assert!(canaries.iter().all(|canary| !search::holds(&bytes, canary.as_bytes())));
    });
}
