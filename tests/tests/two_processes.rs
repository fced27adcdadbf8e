//! A core without any right beside a privileged sandbox: that it works, and that it is so.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use selena_tests::{CORE_USER, Engine, Hub, Options, Package, unprivileged, wait};
use serde_json::json;

fn hub() -> Hub {
    Hub::with(Options { two_processes: true, ..Options::default() })
}

fn status_of(pid: i32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect("the kernel tells");
    line.trim().to_owned()
}

#[test]
fn the_core_has_no_capability_and_no_docker() {
    let hub = hub();
    let pid = hub.pid();
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(), "selenad\n");
    let none = "0000000000000000";
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status_of(pid, set), none, "{set}");
    }
    assert_eq!(status_of(pid, "NoNewPrivs"), "1");
    let user = CORE_USER.to_string();
    assert_eq!(status_of(pid, "Uid"), [user.as_str(); 4].join("\t"));
    assert_eq!(status_of(pid, "Groups"), "");
    assert_eq!(status_of(hub.sandbox_pid(), "Uid"), "0\t0\t0\t0");

    let engine = Engine::default();
    let as_core = |arguments: &[&str]| unprivileged(CORE_USER, CORE_USER).args(arguments).status().expect("it runs");
    let docker = engine.socket().to_str().expect("a path");
    assert!(!as_core(&["test", "-r", docker]).success() && !as_core(&["test", "-w", docker]).success());
    let connects = format!("import socket; socket.socket(socket.AF_UNIX).connect('{docker}')");
    assert!(!as_core(&["/usr/bin/python3", "-c", &connects]).success(), "Docker is closed to it");
    let sandbox = format!(
        "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect('{}')",
        hub.sandbox_socket().display()
    );
    assert!(as_core(&["/usr/bin/python3", "-c", &sandbox]).success(), "the sandbox is open to it");
}

#[test]
fn a_module_is_installed_runs_is_updated_and_is_removed() {
    let hub = hub();
    let module = hub.install(&Package::probe("mover", 8100));
    assert_eq!(hub.status("mover"), "RUNNING");
    let _heard = hub.hears_again("mover", 20);
    module.act(&json!({ "act": "write", "path": "/data/notes", "text": "of the old version" }));
    assert_eq!(hub.admin().get("/system/info").expect(200).json()["engine"], "up");
    let _logs = hub.client().get("/modules/mover/logs").expect(200);

    let _updated = hub.try_install(&Package::probe("mover", 8100).version("1.1.0")).expect(201);
    let new = hub.hears_again("mover", 20);
    assert_ne!(new.container, module.container);
    assert_eq!(new.act(&json!({ "act": "read", "path": "/data/notes" }))["done"], "of the old version");
    let broken = Package::probe("mover", 8100).version("1.2.0").start(json!({ "do": "exit_with_data" }));
    hub.try_install(&broken).refused(400, "health_timeout");
    let back = hub.hears_again("mover", 20);
    assert_eq!(back.act(&json!({ "act": "read", "path": "/data/notes" }))["done"], "of the old version");

    let _gone = hub.client().delete("/modules/mover").expect(204);
    let engine = Engine::default();
    assert!(engine.containers(hub.prefix()).is_empty() && engine.images(hub.prefix()).is_empty());
    for dir in ["modules", "volumes", "previous", "staging", "aside"] {
        let left: Vec<_> = fs::read_dir(hub.data_dir().join(dir)).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{dir}: {left:?}");
    }
}

#[test]
fn what_the_core_needs_is_its_own_and_the_data_of_modules_are_the_sandboxs() {
    let hub = hub();
    let _module = hub.install(&Package::probe("lamp", 8100));
    let data = hub.data_dir();
    let of = |path: &Path| {
        let metadata = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (metadata.uid(), metadata.mode() & 0o7777)
    };
    for (path, mode) in [("selena.db", 0o600), ("secure/hub.key", 0o600), ("run/admin.sock", 0o660)] {
        assert_eq!(of(&data.join(path)), (CORE_USER, mode), "{path}");
    }
    let image = data.join("volumes/lamp.ext4");
    assert_eq!(of(&image), (0, 0o600), "nobody but the sandbox writes what the kernel mounts");
    let read = unprivileged(CORE_USER, CORE_USER).arg("cat").arg(&image).output().expect("it runs");
    assert!(!read.status.success() && read.stdout.is_empty());
    let files = fs::read_dir(data.join("modules/lamp")).unwrap().map(|entry| entry.unwrap().path());
    assert!(files.map(|path| of(&path).0).all(|uid| uid == CORE_USER), "packages are the core's");
    let sandbox = data.with_file_name("sandbox");
    assert_eq!(of(&sandbox), (0, 0o700));
    let labels = Engine::default().inspect(&hub.container("lamp"))["Config"]["Labels"].clone();
    let id = fs::read_to_string(sandbox.join("hub-id")).unwrap();
    assert_eq!(labels["selena.hub"], id.as_str(), "the hub's name in Docker is the sandbox's word");
}

/// What a core that was taken over could try with its own files: they are opened beneath the data directory only.
#[test]
fn a_package_or_data_that_lead_elsewhere_are_refused_and_recorded() {
    let hub = hub();
    let _module = hub.install(&Package::probe("lamp", 8100));
    let _stopped = hub.client().post("/modules/lamp/stop", &json!({})).expect(200);
    let restarted = || hub.client().post("/modules/lamp/start", &json!({})).status;
    let swap = |path: &Path, elsewhere: &Path| {
        fs::rename(path, path.with_extension("away")).unwrap();
        std::os::unix::fs::symlink(elsewhere, path).unwrap();
    };
    let back = |path: &Path| {
        fs::remove_file(path).unwrap();
        fs::rename(path.with_extension("away"), path).unwrap();
    };
    let data = hub.data_dir();

    let volume = data.join("volumes/lamp.ext4");
    swap(&volume, &data.join("volumes/lamp.away"));
    assert_ne!(restarted(), 200, "a link is no data image");
    back(&volume);
    let own = volume.with_extension("own");
    fs::rename(&volume, &own).unwrap();
    fs::write(&volume, vec![0; 8 << 20]).unwrap();
    std::os::unix::fs::chown(&volume, Some(CORE_USER), Some(CORE_USER)).unwrap();
    assert_ne!(restarted(), 200, "a file system of the core's own making is not mounted");
    fs::rename(&own, &volume).unwrap();

    let modules = data.join("modules");
    swap(&modules, &data.join("modules.away"));
    assert_ne!(restarted(), 200, "a link on the way is none");
    back(&modules);

    assert_eq!(restarted(), 200, "all is in its place again");
    let log = hub.sandbox_log();
    for word in ["is a link", "not made by the sandbox", "leads over a link"] {
        assert!(log.lines().any(|line| line.contains("refusal=") && line.contains(word)), "`{word}` is not recorded");
    }
    wait::until("it runs", 20, || hub.status("lamp") == "RUNNING");
}
