//! Installing a package (protocol, section 2).

use selena_tests::{Door, Engine, Hub, Package, http::Request, wait};
use serde_json::{Value, json};

fn statuses(hub: &Hub, name: &str) -> Vec<Value> {
    hub.client().follow(&format!("/modules/{name}/status/stream")).collect()
}

#[test]
fn every_form_of_an_upload_is_accepted() {
    let hub = Hub::start();
    let install = |request: Request| hub.client().send(&request);
    let post = || Request::new("POST", "/modules/install");
    let zip = |name: &str, port| Package::probe(name, port).zip();
    for (request, name, port) in [
        (post().form("module", &zip("by-module", 8100)), "by-module", 8100),
        (post().form("file", &zip("by-file", 8101)), "by-file", 8101),
        (post().body("application/zip", zip("by-body", 8102)), "by-body", 8102),
    ] {
        let answer = install(request).expect(201).json();
        let (trial, publisher) = (&answer["report"], &answer["publisher"]);
        let form = json!({ "name": name, "status": "RUNNING", "port": port, "report": trial, "publisher": publisher });
        assert_eq!(answer, form);
        assert_eq!(publisher["signed"], false, "what nobody signed says so at once");
        assert!(trial["score"].is_u64(), "{answer}");
        let _heard = hub.hears_again(name, 10);
    }
}

#[test]
fn who_prefers_not_to_wait_follows_the_status() {
    let hub = Hub::start();
    let request = Request::new("POST", "/modules/install").header("Prefer", "respond-async");
    let answer = hub.client().send(&request.form("module", &Package::probe("later", 8100).zip())).expect(202);
    assert_eq!(answer.json(), json!({ "name": "later", "status": "VALIDATING" }));
    let shown = hub.admin().get("/modules/later").expect(200).json();
    assert!(["VALIDATING", "RUNNING"].contains(&shown["status"].as_str().unwrap()), "it is there at once: {shown}");
    assert_eq!((&shown["version"], &shown["publisher"]["signed"]), (&json!("1.0.0"), &json!(false)));
    let steps = statuses(&hub, "later");
    let (last, before) = steps.split_last().unwrap();
    assert_eq!((&last["status"], &last["progress"]), (&json!("RUNNING"), &json!(100)), "{steps:?}");
    assert!(before.iter().all(|step| step["status"] == "VALIDATING" && step["message"].is_string()), "{steps:?}");
    assert_eq!(statuses(&hub, "later").len(), 1, "the stream of a running module ends at once");
    hub.client().get("/modules/nobody/status/stream").refused(404, "not_found");

    let broken = Package::probe("broken", 8101).start(json!({ "do": "exit", "code": 3 }));
    let request = Request::new("POST", "/modules/install").header("Prefer", "respond-async");
    let _begun = hub.client().send(&request.form("module", &broken.zip())).expect(202);
    assert_eq!(statuses(&hub, "broken").last().unwrap()["status"], "ERROR");
    hub.admin().get("/modules/broken").refused(404, "not_found");
}

#[test]
fn modules_are_listed_and_shown_as_the_protocol_says() {
    let hub = Hub::start();
    let _module = hub.install(&Package::probe("shown", 8100).with("an_unknown_field", json!(1)));
    let list = hub.client().get("/modules").expect(200).json();
    let summary = list["modules"][0].as_object().unwrap().clone();
    let fields: Vec<_> = summary.keys().map(String::as_str).collect();
    assert_eq!(fields, ["name", "version", "type", "status", "runtime_mode", "port", "installed_at", "ui"]);
    for (field, value) in [
        ("name", json!("shown")),
        ("version", json!("1.0.0")),
        ("type", json!("INTEGRATION")),
        ("status", json!("RUNNING")),
        ("runtime_mode", json!("always_on")),
        ("port", json!(8100)),
    ] {
        assert_eq!(summary[field], value, "{field}");
    }
    let details = hub.client().get("/modules/shown").expect(200).json();
    for (field, value) in &summary {
        assert_eq!(details[field], *value, "{field}");
    }
    let nobody = json!({ "signed": false, "name": null, "key_id": null, "trust": "UNTRUSTED", "revoked": false });
    assert_eq!((&details["error"], &details["publisher"]), (&Value::Null, &nobody));
    assert!(details["started_at"].is_string());
    assert_eq!(details["permissions"].as_array().map(Vec::len), Some(4));
    let report = &details["report"];
    assert!(report["time_to_ready_ms"].as_u64().is_some_and(|ms| ms > 0 && ms < 60_000), "{report}");
    assert!(report["peak_memory_bytes"].as_u64().is_some_and(|bytes| bytes > 4096), "{report}");
    assert_eq!(report["open_ports"], json!([8100]));
    hub.client().get("/modules/nobody").refused(404, "not_found");
    let container = Engine::default().inspect(&hub.container("shown"));
    let labels = &container["Config"]["Labels"];
    assert_eq!(
        (&labels["selena.module"], &labels["selena.port"], &labels["selena.version"]),
        (&json!("shown"), &json!("8100"), &json!("1.0.0"))
    );
    assert_eq!(container["Config"]["Hostname"], "shown");
    assert!(
        Engine::default().images(hub.prefix())[0]["RepoTags"][0]
            .as_str()
            .unwrap()
            .ends_with("selena-module-shown:1.0.0")
    );
}

#[test]
fn a_program_that_ends_fails_its_trial() {
    let hub = Hub::start();
    let answer = hub.try_install(&Package::probe("broken", 8100).start(json!({ "do": "exit", "code": 3 })));
    answer.refused(400, "sandbox_failed");
    let output = answer.json()["sandbox_output"].as_str().unwrap().to_owned();
    assert!(output.contains("the probe ends as it was told") && output.contains("its last line"), "{output:?}");
    assert!(answer.json()["report"].is_object());
    hub.client().get("/modules/broken").refused(404, "not_found");
    let found: Vec<_> = hub.events("module.discovered").iter().map(|event| event["payload"].clone()).collect();
    assert_eq!(found, [json!({ "name": "broken", "version": "1.0.0" })], "told before the trial");
    assert_eq!(hub.client().get("/modules").json()["modules"], json!([]));
    leaves_nothing(&hub);
    let _the_name_and_port_are_free = hub.install(&Package::probe("broken", 8100));
}

#[test]
fn what_does_not_fit_the_hub_is_a_conflict() {
    let hub = Hub::start();
    let _module = hub.install(&Package::probe("first", 8100));
    hub.try_install(&Package::probe("second", 8100)).refused(409, "port_taken");
    hub.try_install(&Package::probe("first", 8100)).refused(409, "manifest_version");
    hub.try_install(&Package::probe("first", 8100).version("0.9.0")).refused(409, "manifest_version");
    let driver = Package::probe("first", 8100).version("2.0.0").with("type", json!("DRIVER"));
    hub.try_install(&driver).refused(409, "manifest_conflict");
    let needy = |needs: Value| Package::probe("needy", 8101).with("dependencies", needs);
    hub.try_install(&needy(json!({ "nobody": ">=1.0.0" }))).refused(422, "manifest_dependency");
    hub.try_install(&needy(json!({ "first": ">=2.0.0" }))).refused(422, "manifest_dependency");
    let _fits = hub.install(&needy(json!({ "first": "^1.0.0" })));
    let _still_runs = hub.hears_again("first", 10);
}

#[test]
fn every_problem_of_a_manifest_is_told() {
    let hub = Hub::start();
    let package = Package::probe("Bad Name", 80)
        .version("one")
        .with("permissions", json!(["device.read", "everything"]))
        .with("resources", json!({ "memory_mb": -1, "pids": 0, "privileged": true }));
    let answer = hub.try_install(&package).expect(422).json();
    let problems = answer["detail"].as_array().unwrap();
    let has = |field: &str| problems.iter().any(|problem| problem["loc"].to_string().contains(field));
    for field in ["name", "version", "port", "permissions", "memory_mb", "pids", "privileged"] {
        assert!(has(field), "{field}: {problems:?}");
    }
    for problem in problems {
        assert!(problem["loc"].is_array() && problem["msg"].is_string() && problem["type"].is_string(), "{problem}");
    }
    assert!(answer["code"].as_str().unwrap().starts_with("manifest_"));
    for reserved in ["core", "selena-x", "dev-module"] {
        hub.try_install(&Package::probe(reserved, 8100)).refused(422, "manifest_id");
    }
    let system = hub.try_install(&Package::probe("part", 8100).with("type", json!("SYSTEM")));
    assert_eq!(system.status, 422, "{}", system.text());
    leaves_nothing(&hub);
}

#[test]
fn z_what_is_no_package_is_refused_and_leaves_nothing() {
    let hub = Hub::start();
    let post = || Request::new("POST", "/modules/install");
    let refuse = |request: Request, status: u16, code: &str| hub.client().send(&request).refused(status, code);
    refuse(post().form("module", b""), 422, "zip_empty");
    refuse(post().body("application/zip", "this is no ZIP"), 422, "zip_corrupt");
    let zip = Package::probe("cut", 8100).zip();
    refuse(post().form("module", &zip[..zip.len() / 2]), 422, "zip_corrupt");
    let with = |path: &str| post().form("module", &Package::probe("evil", 8100).file(path, b"x", 0o644).zip());
    refuse(with("../x"), 422, "zip_path");
    refuse(with("/etc/passwd"), 422, "zip_path");
    refuse(with("manifest.json"), 422, "zip_duplicate");
    assert_eq!(hub.client().send(&post().form("picture", &zip)).status, 422, "another field");
    assert_eq!(hub.client().send(&post().json(&json!({}))).status, 422, "no upload");
    leaves_nothing(&hub);
}

#[test]
fn z26_cut_and_too_large_uploads_are_refused() {
    let hub = Hub::start();
    let head = |length: usize| {
        format!(
            "POST /api/v1/modules/install HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/zip\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
            hub.port(),
            hub.token()
        )
    };
    let door = Door::Port(hub.port());
    let large = door.send_raw(head(51 * 1024 * 1024).as_bytes()).unwrap();
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
    let mut cut = head(1_000_000).into_bytes();
    cut.extend_from_slice(&Package::probe("cut", 8100).zip()[..10_000]);
    let cut = door.send_cut(&cut).unwrap();
    assert!(cut.is_empty() || cut.starts_with("HTTP/1.1 408"), "{cut}");
    wait::until("staging is empty", 10, || staging(&hub) == 0);
    let over = Request::new("POST", "/modules/install").form("module", &vec![0; 50 * 1024 * 1024 + 1]);
    if let Ok(answer) = hub.client().try_send(&over) {
        answer.refused(413, "package_too_large");
    }
    leaves_nothing(&hub);
}

fn staging(hub: &Hub) -> usize {
    std::fs::read_dir(hub.data_dir().join("staging")).map_or(0, Iterator::count)
}

#[track_caller]
fn leaves_nothing(hub: &Hub) {
    let engine = Engine::default();
    assert_eq!(engine.containers(hub.prefix()), [Value::Null; 0], "containers");
    assert_eq!(engine.images(hub.prefix()), [Value::Null; 0], "images");
    wait::until("staging is empty", 10, || staging(hub) == 0);
    let modules = std::fs::read_dir(hub.data_dir().join("modules")).map_or(0, Iterator::count);
    assert_eq!(modules, 0, "directories of modules");
}
