//! Devices, events, the hub itself, and its absence.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fake_hub::{Hub, answer, events, run};

const ID: &str = "6f6d7c2e-58f4-4a77-9f0c-0f6f7f0d8a01";
const DEVICE: &str = "GET /devices/6f6d7c2e-58f4-4a77-9f0c-0f6f7f0d8a01";
const STATE: &str = "PATCH /devices/6f6d7c2e-58f4-4a77-9f0c-0f6f7f0d8a01/state";

fn device(state: Value) -> Value {
    json!({"device_id": ID, "name": "La\x1bmp", "type": "actuator", "protocol": "zigbee", "state": state,
        "capabilities": ["on"], "last_seen": 1_769_860_800.5, "module_id": null, "meta": {}})
}

#[tokio::test]
async fn a_state_is_merged_into_the_present_one_or_replaces_it() {
    let hub = Hub::start([
        answer(DEVICE, 200, device(json!({"on": false, "level": 3}))),
        answer(STATE, 200, device(json!({"on": true, "level": 3}))),
        answer(STATE, 200, device(json!({"on": true}))),
    ]);
    let ran = hub.ctl(&["device", "set", ID, "on=true"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "state is {\"on\":true,\"level\":3}\n"), "{ran:?}");
    let ran = hub.ctl(&["--json", "device", "set", ID, "--replace", "{\"on\": true}"]).await;
    assert_eq!((ran.code, ran.json()), (Some(0), device(json!({"on": true}))));

    assert_eq!(hub.asked(), [DEVICE, STATE, STATE]);
    let sent = |place: usize| serde_json::from_slice::<Value>(&hub.seen()[place].body).expect("JSON");
    assert_eq!(sent(1), json!({"state": {"on": true, "level": 3}}));
    assert_eq!(sent(2), json!({"state": {"on": true}}));
}

#[tokio::test]
async fn devices_are_shown_in_columns_and_their_names_do_no_harm() {
    let hub = Hub::start([
        answer("GET /devices", 200, json!({"devices": [device(json!({"on": true}))]})),
        answer(DEVICE, 200, device(json!({"on": true}))),
    ]);
    let ran = hub.ctl(&["device", "list"]).await;
    let row = format!("{ID}  La\\u{{1b}}mp  actuator  zigbee    -       2026-01-31 12:00:00 UTC  {{\"on\":true}}");
    assert_eq!(ran.out.lines().nth(1), Some(row.as_str()));
    let ran = hub.ctl(&["device", "show", ID]).await;
    assert!(ran.out.contains("\nstate.on      true\n") && !ran.out.contains('\x1b'), "{}", ran.out);
}

fn event(seq: i64) -> Value {
    json!({"id": ID, "event_id": ID, "seq": seq, "type": "lamp.said", "source": "lamp",
        "timestamp": "2026-01-31T12:00:00.123Z", "payload": {"text": "\x1b[31mhä\n"}})
}

#[tokio::test]
async fn events_come_out_the_same_however_their_stream_is_cut() {
    let all = [event(8), event(9), event(10)];
    for chunk_bytes in [1, 2, 3, 50, usize::MAX] {
        let request = "GET /events/stream?since_seq=7&type=lamp.%2A&limit=5";
        let hub = Hub::start([events(request, chunk_bytes, &all)]);
        let arguments = ["events", "tail", "--since", "7", "--type", "lamp.*", "--limit", "5", "--count", "2"];
        let ran = hub.ctl(&arguments).await;
        let line =
            |seq| format!("2026-01-31 12:00:00 UTC  {seq:>6}  lamp.said  lamp  {{\"text\":\"\\u001b[31mhä\\n\"}}\n");
        assert_eq!((ran.code, ran.out), (Some(0), line(8) + &line(9)), "{}", ran.err);
        assert_eq!(hub.asked(), [request]);
    }
}

#[tokio::test]
async fn events_for_programs_are_a_line_each_and_a_broken_stream_is_an_error() {
    let hub = Hub::start([events("GET /events/stream", 11, &[event(8), event(9)])]);
    let ran = hub.ctl(&["--json", "events", "tail"]).await;
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((ran.code, lines), (Some(1), vec![event(8), event(9)]));
    assert!(ran.err.contains("selenactl events tail --since 9"), "{}", ran.err);
}

#[tokio::test]
async fn the_hub_shows_itself() {
    let health = json!({"status": "ok", "version": "0.1.0", "mode": "normal", "uptime": 61, "integrity": "ok"});
    let hub = Hub::start([
        answer("GET /health", 200, health),
        answer("GET /system/info", 200, json!({"version": "0.1.0", "os": {"slot": "a"}})),
    ]);
    let ran = hub.ctl(&["health"]).await;
    assert_eq!((ran.code, ran.out.lines().next()), (Some(0), Some("status     ok")));
    assert_eq!(hub.ctl(&["info"]).await.out, "version  0.1.0\nos.slot  a\n");
}

#[tokio::test]
async fn safe_mode_is_no_good_health_and_is_left_by_one_command() {
    const EXIT: &str = "POST /system/safe-mode/exit";
    let health = |mode: &str, integrity: &str| {
        answer("GET /health", 200, json!({"status": "ok", "mode": mode, "integrity": integrity}))
    };
    let refusal = json!({"detail": "the last check is not clean (violated): /a", "code": "integrity_not_clean"});
    let hub = Hub::start([
        health("normal", "unknown"),
        health("normal", "ok"),
        health("normal", "unknown"),
        health("safe_mode", "ok"),
        answer(EXIT, 409, refusal),
        answer(EXIT, 204, Value::Null),
    ]);
    for (arguments, code) in [(["health"].as_slice(), 0), (&["health", "--checked"], 0), (&["health", "--checked"], 1)]
    {
        let ran = hub.ctl(arguments).await;
        assert_eq!(ran.code, Some(code), "{ran:?}");
    }
    let ran = hub.ctl(&["health"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("safe_mode") && ran.err.contains("safe-mode status"), "{ran:?}");
    let ran = hub.ctl(&["safe-mode", "exit"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("not clean (violated): /a"), "{ran:?}");
    let ran = hub.ctl(&["safe-mode", "exit"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("has left SAFE MODE"), "{ran:?}");
}

#[tokio::test]
async fn a_missing_hub_is_told_with_what_to_do() {
    let hub = Hub::start([]);
    let elsewhere = hub.socket().with_file_name("absent.sock");
    let mut command = Command::new(env!("CARGO_BIN_EXE_selenactl"));
    command.arg("health").env("SELENA_ADMIN_SOCKET", &elsewhere).stdin(Stdio::null());
    let ran = run(command).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    for words in ["absent.sock", "systemctl start selena-core", "--socket PATH"] {
        assert!(ran.err.contains(words), "{}", ran.err);
    }
}

#[tokio::test]
async fn wrong_usage_is_code_2_and_asks_the_hub_nothing() {
    let hub = Hub::start([]);
    for arguments in [
        &["module"][..],
        &["module", "show", "../x"],
        &["device", "show", "no-uuid"],
        &["device", "set", ID, "on"],
        &["events", "tail", "--type", "a*"],
    ] {
        assert_eq!(hub.ctl(arguments).await.code, Some(2), "{arguments:?}");
    }
    assert_eq!(hub.asked(), [""; 0]);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_code_and_passed_on_to_programs() {
    let refusal = json!({"detail": "module not found", "code": "not_found"});
    let hub = Hub::start([answer("GET /modules/lamp", 404, refusal.clone())]);
    let ran = hub.ctl(&["--json", "module", "show", "lamp"]).await;
    assert_eq!((ran.code, ran.json()), (Some(1), refusal));
    assert_eq!(ran.err, "error: module not found (not_found)\n");
}

#[tokio::test]
async fn a_reader_who_leaves_is_no_error() {
    let many: Vec<_> = (0..20_000).map(event).collect();
    let hub = Hub::start([events("GET /events/stream", 4096, &many)]);
    let mut command = Command::new("sh");
    let script = "\"$0\" --socket \"$1\" events tail | head -n 1; exit 0";
    command.args(["-c", script, env!("CARGO_BIN_EXE_selenactl")]).arg(hub.socket());
    let ran = run(command).await;
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (1, ""));
}
