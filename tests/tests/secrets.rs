//! Where a module's token and webhook secret are: in its own memory, and nowhere else (protocol, section 2).

use selena_tests::{Engine, Hub, Options, Package, search, wait};
use serde_json::json;

#[test]
fn no_secret_is_on_disk_in_docker_or_in_a_log() {
    let hub = Hub::with(Options { log_level: "trace", ..Options::default() });
    let installed = hub.try_install(&Package::probe("keeper", 8100)).expect(201);
    let module = hub.module("keeper");
    let (token, secret) = (module.token(), module.webhook_secret());
    let both = [token.as_str(), secret.as_str()];
    let clean = |what: &str, text: &[u8]| {
        for canary in both {
            assert!(!search::holds(text, canary.as_bytes()), "{what}");
        }
    };
    hub.publish("test.once");
    let _heard = hub.hears_again("keeper", 10);
    let _denied = hub.anonymous().with_token(&token).get("/devices");

    let engine = Engine::default();
    let container = engine.inspect(&hub.container("keeper"));
    clean("docker inspect", container.to_string().as_bytes());
    let image = container["Image"].as_str().unwrap();
    clean("docker image inspect", engine.inspect_image(image).to_string().as_bytes());
    let files = engine.root_dir().join("containers").join(container["Id"].as_str().unwrap());
    assert!(files.join("config.v2.json").exists(), "Docker keeps its configuration there");
    assert_eq!(search::files_with(&files, &both), [""; 0], "Docker's files");
    assert!(hub.data_dir().join("secure").exists());
    assert_eq!(search::files_with(&hub.data_dir(), &both), [""; 0], "the hub's files");
    clean("the hub's log", hub.log().as_bytes());
    assert!(hub.log().contains("TRACE"), "the log was complete");
    assert_eq!(search::processes_with("cmdline", &both), [""; 0], "command lines");

    clean("the answer to the install", &installed.body);
    for path in ["/modules", "/modules/keeper", "/modules/keeper/logs", "/audit", "/events", "/system/info"] {
        clean(path, &hub.admin().get(path).expect(200).body);
    }
}

#[test]
fn the_hubs_own_environment_has_no_secret_of_a_module() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("keeper", 8100));
    let environment = std::fs::read(format!("/proc/{}/environ", hub.pid())).unwrap();
    for secret in [module.token(), module.webhook_secret()] {
        assert!(!search::holds(&environment, secret.as_bytes()));
    }
    assert!(search::holds(&environment, hub.token().as_bytes()), "that is where the development token is");
}

#[test]
fn nothing_stays_in_the_files_after_a_removal() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("keeper", 8100));
    let secrets = [module.token(), module.webhook_secret()];
    let _stopped = hub.client().post("/modules/keeper/stop", &json!({})).expect(200);
    let _removed = hub.client().delete("/modules/keeper").expect(204);
    let texts: Vec<_> = secrets.iter().map(String::as_str).collect();
    assert_eq!(search::files_with(&hub.data_dir(), &texts), [""; 0]);
}

#[test]
fn only_root_reads_the_keys_and_only_the_group_asks_the_hub() {
    use std::os::unix::fs::PermissionsExt;
    let hub = Hub::start();
    let module = hub.install(&Package::probe("keeper", 8100));
    let _running = module.token();
    let mode = |path: &str| std::fs::metadata(hub.data_dir().join(path)).unwrap().permissions().mode() & 0o777;
    for entry in std::fs::read_dir(hub.data_dir().join("secure")).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{}", entry.path().display());
    }
    assert_eq!(mode("run/admin.sock"), 0o660);
}

#[test]
fn w05_a_new_key_at_a_start_opens_all_that_was_sealed_before() {
    let mut hub = Hub::start();
    let secret = hub.install(&Package::probe("keeper", 8100)).webhook_secret();
    let file = hub.data_dir().join("secure/hub.key");
    let before = std::fs::read(&file).unwrap();
    assert_eq!(hub.terminate(), Some(0));
    hub.start_again_with_new_key();
    let after = std::fs::read(&file).unwrap();
    assert!(after != before && after.len() == 32, "one key, and not the one before");
    wait::until("the module runs again", 60, || hub.status("keeper") == "RUNNING");
    assert_eq!(hub.module("keeper").webhook_secret(), secret);
}
