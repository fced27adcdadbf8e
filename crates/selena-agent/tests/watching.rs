//! The watching agent against a core that is a few lines here, and against none at all.

mod support;

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use serde_json::Value;
use support::{Place, Watching, wait_for};

/// What was asked of the core: path, secret, body.
type Asked = (String, String, Value);

/// Takes the reports of the agent.
struct Core {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Core {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("accepted");
                if let Some(asked) = read(&mut BufReader::new(&stream)) {
                    kept.lock().expect("nobody panics").push(asked);
                }
                let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"acknowledged\":true}");
            }
        });
        Self { url, asked }
    }

    fn asked(&self, path: &str) -> Vec<Asked> {
        let all = self.asked.lock().expect("nobody panics");
        all.iter().filter(|(asked, ..)| asked == path).cloned().collect()
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let lines: Vec<String> = reader.lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let header = |name: &str| {
        let of = |line: &String| {
            line.split_once(": ").filter(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, it)| it.to_owned())
        };
        lines.iter().find_map(of).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    Some((path, header("x-agent-secret"), serde_json::from_slice(&body).ok()?))
}

/// A program that notes that it was called.
fn restart_program(place: &Place) -> PathBuf {
    let program = place.path("restart");
    fs::write(&program, format!("#!/bin/sh\necho called >>{}\n", place.path("restarts").display())).expect("written");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("changed");
    program
}

fn restarts(place: &Place) -> usize {
    fs::read_to_string(place.path("restarts")).map_or(0, |text| text.lines().count())
}

fn watch(place: &Place, url: &str) -> Watching {
    let restart = restart_program(place);
    Watching::start(place, &["--core-url", url, "--restart-command", restart.to_str().expect("text")])
}

fn word(place: &Place) -> String {
    place.published().map_or_else(String::new, |state| state["status"].as_str().unwrap_or_default().to_owned())
}

/// A port where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

#[test]
fn a_violation_is_reported_restored_and_the_core_restarted() {
    let (place, core) = (Place::recorded(), Core::start());
    let before = place.snapshot();
    let _agent = watch(&place, &core.url);
    wait_for("the first check", 30, || (word(&place) == "ok").then_some(()));
    let state = place.published().expect("published");
    assert_eq!(
        (&state["files_checked"], &state["check_interval_sec"], &state["signed_by"]),
        (&3.into(), &1.into(), &"self_signed".into())
    );

    place.write("watched/core", b"changed");
    wait_for("the report of the end", 30, || (!core.asked("/api/v1/integrity/restored").is_empty()).then_some(()));
    let violations = core.asked("/api/v1/integrity/violation");
    let (_, secret, body) = &violations[0];
    assert_eq!(violations.len(), 1);
    assert_eq!(secret, place.read("secure/agent.secret").trim());
    let core_file = place.watched().join("core").display().to_string();
    assert_eq!((&body["status"], &body["violations"][0]["kind"]), (&"VIOLATED".into(), &"changed".into()));
    assert_eq!(body["violations"][0]["file"], core_file);
    assert_eq!(core.asked("/api/v1/integrity/restored")[0].2["files"], serde_json::json!([core_file]));
    assert!(place.snapshot() == before && restarts(&place) == 1 && !place.in_safe_mode());
    wait_for("the state", 30, || (word(&place) == "ok").then_some(()));
    assert_eq!(place.status()["last_violation"]["stage"], "over");
}

#[test]
fn b23_without_a_good_copy_it_ends_in_safe_mode_after_three_attempts_and_once() {
    let place = Place::recorded();
    place.write("watched/lib/one", b"changed");
    for copy in fs::read_dir(place.secure().join("core_backup/000001/files")).expect("listed") {
        fs::write(copy.expect("one").path(), "spoiled").expect("written");
    }
    let begun = Instant::now();
    let mut agent = watch(&place, &nobody());
    wait_for("SAFE MODE", 60, || place.in_safe_mode().then_some(()));
    assert!(begun.elapsed().as_secs() >= 10, "three attempts, 5 s apart");
    wait_for("the restart", 30, || (restarts(&place) == 1).then_some(()));
    let episode = place.status()["last_violation"].clone();
    assert_eq!((&episode["attempts"], &episode["stage"]), (&3.into(), &"given_up".into()), "{episode}");

    // Neither further rounds nor a restart of the agent try again or restart the core again.
    agent.kill();
    let before = place.published().expect("published")["checked_at_boot_secs"].clone();
    let _agent = watch(&place, &nobody());
    for _round in 0..2 {
        let last = place.published().expect("published")["checked_at_boot_secs"].clone();
        wait_for("another check", 30, || {
            let now = place.published()?["checked_at_boot_secs"].clone();
            (now != last && now != before).then_some(())
        });
    }
    assert_eq!((restarts(&place), place.status()["last_violation"]["attempts"].clone()), (1, 3.into()));
    assert_eq!(word(&place), "violated");

    // A person restores the file; ending SAFE MODE stays with the core.
    place.write("watched/lib/one", b"one");
    wait_for("the state", 30, || (word(&place) == "ok").then_some(()));
    assert!(place.in_safe_mode());
}

#[test]
fn attempts_are_remembered_when_the_agent_is_killed_between_them() {
    let place = Place::recorded();
    place.write("watched/lib/one", b"changed");
    fs::remove_dir_all(place.secure().join("core_backup")).expect("removed");
    for attempts in 1..=2 {
        let mut agent = watch(&place, &nobody());
        wait_for("an attempt", 30, || (place.status()["last_violation"]["attempts"] == attempts).then_some(()));
        agent.kill();
    }
    assert!(!place.in_safe_mode());
    let begun = Instant::now();
    let _agent = watch(&place, &nobody());
    wait_for("SAFE MODE", 30, || place.in_safe_mode().then_some(()));
    assert!(begun.elapsed().as_secs() < 10, "one attempt was left");
    assert_eq!(place.status()["last_violation"]["attempts"], 3);
}

#[test]
fn b20_a_baseline_that_cannot_be_restored_ends_in_safe_mode() {
    let place = Place::recorded();
    fs::remove_dir_all(place.secure().join("core_backup")).expect("removed");
    place.write("secure/core.manifest", b"");
    let _agent = watch(&place, &nobody());
    wait_for("SAFE MODE", 60, || place.in_safe_mode().then_some(()));
    wait_for("the state", 30, || (word(&place) == "manifest_tampered").then_some(()));
    assert!(place.read("data/SAFE_MODE").starts_with("manifest_tampered: "));
}

#[test]
fn a_baseline_and_a_file_changed_together_both_come_back_and_both_are_told() {
    let (place, core) = (Place::recorded(), Core::start());
    let before = place.snapshot();
    place.write("secure/core.manifest", b"{}");
    place.write("watched/core", b"changed");
    let _agent = watch(&place, &core.url);
    wait_for("the report of the end", 30, || core.asked("/api/v1/integrity/restored").pop());
    assert_eq!(core.asked("/api/v1/integrity/violation")[0].2["status"], "MANIFEST_TAMPERED");
    let restored = core.asked("/api/v1/integrity/restored")[0].2["files"].as_array().map_or(0, Vec::len);
    assert!(restored == 2 && place.snapshot() == before && !place.in_safe_mode());
}

#[test]
fn the_end_is_heard_at_once() {
    let place = Place::recorded();
    let mut agent = watch(&place, &nobody());
    wait_for("the first check", 30, || (word(&place) == "ok").then_some(()));
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(agent.process.id().cast_signed()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .expect("sent");
    let status = wait_for("the end", 10, || agent.process.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn systemd_is_told_that_it_is_ready_and_alive() {
    let place = Place::recorded();
    let socket = std::os::unix::net::UnixDatagram::bind(place.path("notify")).expect("bound");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("set");
    let mut command = place.command();
    command.args(["run", "--container-label", "selena-agent-test.none"]).env("NOTIFY_SOCKET", place.path("notify"));
    let mut agent = command.env("WATCHDOG_USEC", "400000").spawn().expect("started");
    let mut told = Vec::new();
    while told.len() < 200 && told.iter().filter(|word| *word == "WATCHDOG=1").count() < 20
        || !told.contains(&"READY=1".to_owned())
    {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).expect("told in time");
        told.extend(support::text(&buffer[..length]).lines().map(str::to_owned));
    }
    agent.kill().expect("killed");
    agent.wait().expect("ended");
}
