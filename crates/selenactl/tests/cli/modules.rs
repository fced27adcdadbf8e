//! `selenactl module …` against a hub on a real socket.

use serde_json::{Value, json};

use crate::fake_hub::{Hub, Prepared, answer, events, text};

fn line(status: &str, message: &str, progress: u8) -> Value {
    json!({"status": status, "message": message, "progress": progress})
}

const INSTALL: &str = "POST /modules/install";
const STREAM: &str = "GET /modules/lamp/status/stream";

fn validating() -> Prepared {
    answer(INSTALL, 202, json!({"name": "lamp", "status": "VALIDATING"}))
}

const MODULE: &str = "GET /modules/lamp";
const NOBODY: &str = "UNSIGNED: nobody vouches for where it comes from";
const UNSIGNED: &str = "lamp is UNSIGNED: nobody vouches for where it comes from\n";

fn nobody() -> Value {
    json!({"signed": false, "name": null, "key_id": null, "trust": "UNTRUSTED", "revoked": false})
}

/// A module that nobody signed.
fn unsigned() -> Prepared {
    answer(MODULE, 200, json!({"name": "lamp", "publisher": nobody()}))
}

#[tokio::test]
async fn m05_a_downgrade_is_asked_for_only_by_its_flag() {
    let refusal = json!({"detail": "version 2.0.0 is installed", "code": "manifest_version"});
    let lower = "POST /modules/install?allow_downgrade=true";
    let running = json!({"name": "lamp", "status": "RUNNING", "port": 8100, "report": report()});
    let hub = Hub::start([answer(INSTALL, 409, refusal), answer(lower, 201, running), unsigned()]);
    let package = hub.file("lamp.zip", b"PK");
    assert_eq!(hub.ctl(&["module", "install", &package]).await.code, Some(1));
    let ran = hub.ctl(&["module", "install", "--allow-downgrade", &package]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    hub.asked();
}

#[tokio::test]
async fn an_install_is_sent_as_it_is_and_followed_to_its_end() {
    for (chunk_bytes, end) in [(1, "RUNNING"), (7, "READY"), (usize::MAX, "STOPPED")] {
        let stream = [line("VALIDATING", "trying the package", 40), line(end, "all is well", 100)];
        let hub = Hub::start([validating(), events(STREAM, chunk_bytes, &stream), unsigned()]);
        let package = hub.file("lamp.zip", b"PK\x03\x04 not really");
        let ran = hub.ctl(&["module", "install", &package]).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), format!("lamp is {end}\n").as_str()), "{ran:?}");
        assert_eq!(ran.err, format!(" 40 %  VALIDATING  trying the package\n{UNSIGNED}"));
        assert_eq!(hub.asked(), [INSTALL, STREAM, MODULE]);
        let sent = &hub.seen()[0];
        assert_eq!(sent.body, &b"PK\x03\x04 not really"[..]);
        for (name, value) in [("host", "localhost"), ("content-type", "application/zip"), ("prefer", "respond-async")] {
            assert_eq!(sent.headers[name], value);
        }
    }
}

#[tokio::test]
async fn an_install_that_is_answered_at_its_end_is_understood_too() {
    let running = json!({"name": "lamp", "status": "RUNNING", "port": 8100, "report": report()});
    let hub =
        Hub::start([answer(INSTALL, 201, running.clone()), unsigned(), answer(INSTALL, 201, running), unsigned()]);
    let ran = hub.ctl(&["--json", "module", "install", &hub.file("lamp.zip", b"PK")]).await;
    assert_eq!((ran.code, ran.json()["port"].as_i64()), (Some(0), Some(8100)), "{ran:?}");
    assert_eq!(ran.json()["report"], report());
    let ran = hub.ctl(&["module", "install", &hub.file("lamp.zip", b"PK")]).await;
    assert_eq!((ran.out, ran.err), (format!("lamp is RUNNING\n{REPORT}"), UNSIGNED.to_owned()));
}

fn report() -> Value {
    json!({
        "time_to_ready_ms": 41, "peak_memory_bytes": null, "denied_calls": [], "open_ports": [8100],
        "peak_processes": 7, "programs": ["/app/\u{1b}[2J"], "denied_syscalls": [{"name": "mount", "count": 2}],
        "score": 6, "points": [{"id": "signed", "passed": false, "explanation": "Nobody has signed it."}],
    })
}

const REPORT: &str = "Trial: 6 of 8 points
  no  signed  Nobody has signed it.
  time to ready        41 ms
  peak memory          unknown
  peak processes       7
  programs             /app/\\u{1b}[2J
  open ports           8100
  denied system calls  mount × 2
  denied requests      none
";

#[tokio::test]
async fn the_report_of_the_trial_is_asked_for_and_shown() {
    let module = json!({"name": "lamp", "status": "RUNNING", "report": report()});
    let followed = || [validating(), events(STREAM, 9, &[line("RUNNING", "all is well", 100)])];
    let mut answers: Vec<_> = followed().into_iter().chain([answer(MODULE, 200, module.clone())]).collect();
    answers.extend(followed().into_iter().chain([answer(MODULE, 200, module.clone())]));
    answers.push(answer(MODULE, 200, module));
    let hub = Hub::start(answers);
    let package = hub.file("lamp.zip", b"PK");
    assert_eq!(hub.ctl(&["module", "install", &package]).await.out, format!("lamp is RUNNING\n{REPORT}"));
    assert_eq!(hub.ctl(&["--json", "module", "install", &package]).await.json()["report"], report());
    let shown = hub.ctl(&["module", "show", "lamp"]).await.out;
    assert_eq!(shown, format!("name       lamp\nstatus     RUNNING\npublisher  {NOBODY}\n{REPORT}"));
}

#[tokio::test]
async fn a_failed_install_tells_why_and_what_the_package_printed() {
    let mut last = line("ERROR", "GET /health did not answer", 100);
    last["sandbox_output"] = json!("Traceback\n\x1b[2Jerror: all is well\n");
    let hub = Hub::start([validating(), events(STREAM, 3, &[last])]);
    let ran = hub.ctl(&["module", "install", &hub.file("lamp.zip", b"PK")]).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert_eq!(
        ran.err,
        "error: lamp is ERROR: GET /health did not answer\noutput of the package:\n  | Traceback\n  \
         | \\u{1b}[2Jerror: all is well\n"
    );

    let refusal =
        json!({"detail": "the trial failed", "code": "sandbox_failed", "sandbox_output": "no module fastapi"});
    let hub = Hub::start([answer(INSTALL, 400, refusal.clone())]);
    let ran = hub.ctl(&["--json", "module", "install", &hub.file("lamp.zip", b"PK")]).await;
    assert_eq!((ran.code, ran.json()), (Some(1), refusal));
    assert_eq!(ran.err, "error: the trial failed (sandbox_failed)\noutput of the package:\n  | no module fastapi\n");
}

#[tokio::test]
async fn every_problem_of_a_manifest_has_its_line() {
    let problems = json!({"code": "manifest_invalid", "detail": [
        {"loc": ["name"], "msg": "bad\nerror: fake", "type": "manifest_id"},
        {"loc": ["events", "publish", 2], "msg": "no pattern", "type": "manifest_invalid"},
    ]});
    let hub = Hub::start([answer(INSTALL, 422, problems)]);
    let ran = hub.ctl(&["module", "install", &hub.file("lamp.zip", b"PK")]).await;
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.err,
        "error: the hub found 2 problem(s) (manifest_invalid):\n  name: bad\\nerror: fake (manifest_id)\n  \
         events.publish[2]: no pattern (manifest_invalid)\n"
    );
}

fn asked() -> Value {
    json!({"version": "2.0.0", "adds": {"permissions": ["network.egress"],
        "egress": [{"host": "api.example.com", "port": 443, "protocol": "https"}], "devices": [], "oauth_hosts": []},
        "permissions": ["device.write", "network.egress"], "publisher": nobody()})
}

const WORDS: &str = "lamp 2.0.0 asks for:\n  - connect to the places outside that are named here (network.egress)\n  \
                     - connect to api.example.com, port 443 (https)\n\
                     It can also:\n  - add devices and set their states (device.write)\n\
                     It is UNSIGNED: nobody vouches for where it comes from\n";

#[tokio::test]
async fn an_install_that_needs_consent_says_what_for_and_how() {
    let mut sync = asked();
    sync["name"] = json!("lamp");
    sync["status"] = json!("AWAITING_CONSENT");
    let followed = [
        validating(),
        events(STREAM, 5, &[line("AWAITING_CONSENT", "a person has to decide", 100)]),
        answer("GET /modules/lamp/consent", 200, asked()),
    ];
    for hub in [Hub::start([answer(INSTALL, 202, sync)]), Hub::start(followed)] {
        let ran = hub.ctl(&["module", "install", &hub.file("lamp.zip", b"PK")]).await;
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert_eq!(ran.out, format!("{WORDS}Grant it with `selenactl module consent lamp`.\n"));
        hub.asked();
    }
}

#[tokio::test]
async fn consent_grants_exactly_what_was_shown() {
    let hub = Hub::start([
        answer("GET /modules/lamp/consent", 200, asked()),
        answer("POST /modules/lamp/consent", 202, json!({"name": "lamp", "status": "VALIDATING"})),
        events(STREAM, 1, &[line("RUNNING", "running and healthy", 100)]),
    ]);
    let mut granted = asked();
    granted.as_object_mut().expect("an object").remove("permissions");
    let ran = hub.ctl(&["module", "consent", "lamp", "--yes"]).await;
    assert_eq!((ran.code, ran.out.as_str(), ran.err), (Some(0), "lamp is RUNNING\n", WORDS.to_owned()));
    assert_eq!(serde_json::from_slice::<Value>(&hub.seen()[1].body).expect("JSON"), granted);
    hub.asked();
}

#[tokio::test]
async fn without_a_person_nothing_is_granted_or_removed() {
    let hub = Hub::start([answer("GET /modules/lamp/consent", 200, asked())]);
    let ran = hub.ctl(&["module", "consent", "lamp"]).await;
    assert_eq!((ran.code, hub.asked().len()), (Some(2), 1));
    assert!(ran.err.contains("--yes"), "{}", ran.err);

    let ran = hub.ctl(&["module", "remove", "lamp"]).await;
    assert_eq!((ran.code, hub.asked().len()), (Some(2), 1), "nothing more was asked");
}

#[tokio::test]
async fn modules_are_started_stopped_and_removed() {
    let hub = Hub::start([
        answer("POST /modules/lamp/start", 200, json!({"name": "lamp", "status": "RUNNING"})),
        answer("POST /modules/lamp/restart", 200, json!({"name": "lamp", "status": "RUNNING"})),
        answer("POST /modules/lamp/stop", 200, json!({"name": "lamp", "status": "STOPPED"})),
        answer("DELETE /modules/lamp", 204, Value::Null),
    ]);
    for (verb, words) in [("start", "RUNNING"), ("restart", "RUNNING"), ("stop", "STOPPED")] {
        let ran = hub.ctl(&["module", verb, "lamp"]).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), format!("lamp is {words}\n").as_str()), "{ran:?}");
    }
    let ran = hub.ctl(&["module", "remove", "--yes", "lamp"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "lamp is removed\n"), "{ran:?}");
    hub.asked();
}

#[tokio::test]
async fn modules_are_listed_in_columns_or_as_the_json_of_the_hub() {
    let module = |name: &str, port: u16| {
        json!({"name": name, "version": "1.0.0", "type": "DRIVER", "status": "RUNNING", "runtime_mode": "always_on",
            "port": port, "installed_at": "2026-01-31T12:00:00.5Z", "ui": null})
    };
    let list = json!({"modules": [module("lamp", 8100), module("heater", 8101), module("door", 8102)]});
    let publishers = json!({"publishers": [
        {"name": "Lamps & Co", "revoked_at": null, "modules": ["lamp"]},
        {"name": "Doors", "revoked_at": "2026-01-31T12:00:00Z", "modules": ["door"]},
    ]});
    let hub = Hub::start([
        answer("GET /modules", 200, list.clone()),
        answer("GET /publishers", 200, publishers),
        answer("GET /modules", 200, list.clone()),
    ]);
    assert_eq!(
        hub.ctl(&["module", "list"]).await.out,
        "NAME    VERSION  TYPE    STATUS   MODE       PORT  SIGNED BY       INSTALLED\n\
         lamp    1.0.0    DRIVER  RUNNING  always_on  8100  Lamps & Co      2026-01-31 12:00:00 UTC\n\
         heater  1.0.0    DRIVER  RUNNING  always_on  8101  UNSIGNED        2026-01-31 12:00:00 UTC\n\
         door    1.0.0    DRIVER  RUNNING  always_on  8102  REVOKED: Doors  2026-01-31 12:00:00 UTC\n"
    );
    assert_eq!(hub.ctl(&["module", "list", "--json"]).await.json(), list);
}

#[tokio::test]
async fn a_module_is_shown_with_who_made_it() {
    let publisher = json!({"signed": true, "name": "Lamps", "key_id": "ab", "trust": "BASIC", "revoked": false});
    let signed = json!({"name": "lamp", "publisher": publisher});
    let hub = Hub::start([answer(MODULE, 200, signed.clone()), unsigned(), answer(MODULE, 200, signed.clone())]);
    let show = ["module", "show", "lamp"];
    assert_eq!(hub.ctl(&show).await.out, "name       lamp\npublisher  signed by Lamps (BASIC) with the key ab\n");
    let nobody = "name       lamp\npublisher  UNSIGNED: nobody vouches for where it comes from\n";
    assert_eq!(hub.ctl(&show).await.out, nobody);
    assert_eq!(hub.ctl(&["--json", "module", "show", "lamp"]).await.json(), signed);
}

#[tokio::test]
async fn x14_a_log_cannot_command_the_terminal() {
    let log = "ready\n\x1b]0;owned\x07\u{9b}2J\r\nlast";
    let hub = Hub::start([text("GET /modules/lamp/logs", log), text("GET /modules/lamp/logs", log)]);
    let ran = hub.ctl(&["module", "logs", "lamp"]).await;
    assert_eq!(ran.out, "ready\n\\u{1b}]0;owned\\u{7}\\u{9b}2J\nlast\n");
    let ran = hub.ctl(&["--json", "module", "logs", "lamp"]).await;
    assert_eq!(ran.json()["logs"], log, "a program gets every byte");
    assert!(!ran.out.contains(['\x1b', '\u{9b}']), "and a terminal none of them");
}

#[tokio::test]
async fn a_package_that_is_too_large_is_told_by_the_hub() {
    let refusal = json!({"detail": "a package is at most 50 MiB", "code": "too_large"});
    // Whether the answer or the closed connection is seen first is a race, and one that was lost at times.
    for _ in 0..20 {
        let hub = Hub::start([answer(INSTALL, 413, refusal.clone()).at_once()]);
        let ran = hub.ctl(&["module", "install", &hub.file("lamp.zip", &vec![0; 60 << 20])]).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(1), "error: a package is at most 50 MiB (too_large)\n"));
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_no_success() {
    let hub = Hub::start([
        validating(),
        events(STREAM, 9, &[line("VALIDATING", "starting", 60)]),
        answer("GET /modules/lamp", 200, json!({"name": "lamp", "status": "VALIDATING"})),
    ]);
    let ran = hub.ctl(&["module", "install", &hub.file("lamp.zip", b"PK")]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.ends_with("error: the hub ended the stream; it may have been stopped\n"), "{}", ran.err);
    hub.asked();
}
