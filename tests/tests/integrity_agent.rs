//! The real agent beside the real hub (protocol, section 8.2).

use std::{fs, net::TcpListener, os::unix::net::UnixListener};

use selena_tests::{Agent, Hub, Options, Package, wait};

/// A hub whose port stays the same over its restarts, so that the agent finds it again.
fn hub() -> Hub {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    Hub::with(Options { port: free.port(), ..Options::default() })
}

fn mode(hub: &Hub) -> String {
    hub.anonymous().get("/health").expect(200).json()["mode"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_changed_file_is_safe_mode_until_it_is_restored_and_the_hub_starts_again() {
    let mut hub = hub();
    let dir = tempfile::tempdir().expect("a directory");
    let _module = hub.install(&Package::probe("guest", 8100));
    let watched = dir.path().join("watched");
    fs::create_dir(&watched).expect("made");
    fs::write(watched.join("program"), "as it was").expect("written");
    let agent = Agent::of(&hub.data_dir(), dir.path());
    agent.baseline(&watched);

    // The agent asks for a restart by connecting here; until the test answers, the hub stays as the report left it.
    let door = dir.path().join("door");
    let listener = UnixListener::bind(&door).expect("bound");
    let script = format!(
        "exec python3 -c \"import socket; s = socket.socket(socket.AF_UNIX); s.connect('{}'); s.recv(1)\"",
        door.display()
    );
    let label = format!("selena-agent-test-{}", hub.prefix());
    let watching = agent.watch(hub.port(), &label, &script);
    wait::until("the first check is shown", 30, || hub.client().get("/integrity/status").json()["status"] == "ok");
    assert_eq!(hub.client().get("/integrity/status").json()["files_checked"], 1);

    fs::write(watched.join("program"), "changed").expect("written");
    let (asked, _) = listener.accept().expect("the agent wants the hub restarted");
    assert_eq!(fs::read_to_string(watched.join("program")).expect("there"), "as it was");
    assert_eq!(mode(&hub), "safe_mode", "{}", agent.log());
    assert_eq!(hub.events("core.integrity_violation").len(), 1);
    wait::until("the module is stopped", 20, || hub.try_module("guest").is_none());
    hub.kill();
    hub.start_again();
    drop(asked);
    wait::until("the hub is told", 40, || hub.events("core.integrity_restored").len() == 1);
    assert_eq!(mode(&hub), "normal");
    let _runs = hub.hears_again("guest", 30);
    wait::until("the state", 30, || hub.client().get("/integrity/status").json()["status"] == "ok");

    // With no good copy left, the flag holds over the restart; ended by a person after the file is right again.
    for copy in fs::read_dir(hub.data_dir().join("secure/core_backup/000001/files")).expect("listed") {
        fs::write(copy.expect("one").path(), "spoiled").expect("written");
    }
    fs::write(watched.join("program"), "changed").expect("written");
    let (asked, _) = listener.accept().expect("the agent wants the hub restarted");
    assert!(hub.data_dir().join("SAFE_MODE").exists());
    hub.kill();
    hub.start_again();
    drop(asked);
    assert_eq!(mode(&hub), "safe_mode");
    let exit = "/system/safe-mode/exit";
    hub.admin().post(exit, &serde_json::json!({})).refused(409, "integrity_not_clean");
    fs::write(watched.join("program"), "as it was").expect("written");
    wait::until("a person may end it", 40, || hub.admin().post(exit, &serde_json::json!({})).status == 204);
    assert_eq!(mode(&hub), "normal");
    drop(watching);
}

#[test]
fn an_announced_change_is_told_when_it_begins_and_ends_and_only_once() {
    let mut hub = hub();
    let dir = tempfile::tempdir().expect("a directory");
    let watched = dir.path().join("watched");
    fs::create_dir(&watched).expect("made");
    fs::write(watched.join("program"), "as it was").expect("written");
    let agent = Agent::of(&hub.data_dir(), dir.path());
    agent.baseline(&watched);
    let _watching = agent.watch(hub.port(), &format!("selena-agent-test-{}", hub.prefix()), "exit 1");
    let told = |hub: &Hub, what: &str| -> Vec<_> {
        let events = hub.events(&format!("core.maintenance_{what}"));
        events.iter().map(|event| event["payload"]["reason"].as_str().unwrap_or_default().to_owned()).collect()
    };
    wait::until("the first check is shown", 30, || hub.client().get("/integrity/status").json()["status"] == "ok");
    agent.announce(Some(("operator", &watched)));
    wait::until("it is told", 30, || told(&hub, "started") == ["operator"]);
    assert_eq!(told(&hub, "completed"), [""; 0]);
    fs::write(watched.join("program"), "changed, as announced").expect("written");

    // An end that nobody heard is told after the next start, and the begin is not told again.
    hub.kill();
    agent.announce(Some(("update", &watched)));
    hub.start_again();
    wait::until("who is at work now is told", 30, || told(&hub, "started") == ["operator", "update"]);
    assert_eq!(told(&hub, "completed"), ["operator"]);
    assert_eq!(mode(&hub), "normal", "{}", agent.log());
    fs::write(watched.join("program"), "as it was").expect("written");
    agent.announce(None);
    wait::until("the end is told", 30, || told(&hub, "completed") == ["operator", "update"]);
    assert_eq!(told(&hub, "started").len(), 2);
}
