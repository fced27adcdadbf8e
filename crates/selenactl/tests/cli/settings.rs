//! Settings, commands, the audit log, and what is printed without a hub.

use serde_json::{Value, json};

use crate::{
    directory::Directory,
    fake_hub::{Hub, answer},
};

const GET: &str = "GET /modules/lamp/config";
const SET: &str = "POST /modules/lamp/config";
const COMMAND: &str = "POST /modules/lamp/command";

#[tokio::test]
async fn settings_are_shown_and_set() {
    let config = json!({"config": {"frost_celsius": 3, "mode": "e\x1bco", "rooms": ["a"]}});
    let all = || answer(GET, 200, config.clone());
    let hub = Hub::start([all(), all(), all(), all()]);
    let ran = hub.ctl(&["module", "config", "lamp"]).await;
    assert_eq!(ran.out, "frost_celsius  3\nmode           e\\u{1b}co\nrooms          [\"a\"]\n");
    assert_eq!(hub.ctl(&["--json", "module", "config", "lamp"]).await.json(), config);
    assert_eq!(hub.ctl(&["module", "config", "lamp", "rooms"]).await.out, "[\"a\"]\n");
    let ran = hub.ctl(&["module", "config", "lamp", "absent"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), "error: lamp has no setting `absent`\n"));
    hub.asked();

    for (text, value) in [("-4.5", json!(-4.5)), ("warm", json!("warm")), ("{\"a\":[null]}", json!({"a": [null]}))] {
        let hub = Hub::start([answer(SET, 200, json!({"config": {"key": value}}))]);
        let ran = hub.ctl(&["--json", "module", "config", "lamp", "key", text]).await;
        assert_eq!((ran.code, ran.json()), (Some(0), json!({"key": "key", "value": value})), "{ran:?}");
        let sent: Value = serde_json::from_slice(&hub.seen()[0].body).expect("JSON");
        assert_eq!(sent, json!({"key": "key", "value": value}));
    }
}

#[tokio::test]
async fn a_refused_setting_is_told_with_every_problem() {
    let refusal = json!({"code": "config_schema", "detail": [
        {"loc": ["body", "value"], "msg": "3 is no text", "type": "config_schema"}]});
    let hub = Hub::start([answer(SET, 422, refusal)]);
    let ran = hub.ctl(&["module", "config", "lamp", "mode", "3"]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("body.value: 3 is no text"), "{}", ran.err);
}

#[tokio::test]
async fn commands_are_sent_and_their_answers_shown() {
    for (arguments, sent) in [
        (&["blink"][..], json!({"command": "blink"})),
        (&["blink", "{\"times\": 2}"], json!({"command": "blink", "args": {"times": 2}})),
        (&["blink", "-1"], json!({"command": "blink", "args": -1})),
    ] {
        let hub = Hub::start([answer(COMMAND, 200, json!({"result": {"done": true}}))]);
        let ran = hub.ctl(&[&["module", "command", "lamp"], arguments].concat()).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), "{\n  \"done\": true\n}\n"), "{ran:?}");
        assert_eq!(serde_json::from_slice::<Value>(&hub.seen()[0].body).expect("JSON"), sent);
    }
    let hub = Hub::start([]);
    let ran = hub.ctl(&["module", "command", "lamp", "blink", "{times"]).await;
    assert_eq!((ran.code, hub.asked().len()), (Some(2), 0), "{ran:?}");
}

#[tokio::test]
async fn the_audit_log_is_a_table() {
    let records = json!({"records": [{"timestamp": "2026-01-31T12:00:00Z", "event": "permission_denied",
        "subject": "lamp", "detail": "device.write\nx", "count": 3}]});
    let hub = Hub::start([
        answer("GET /audit?limit=100", 200, records.clone()),
        answer("GET /audit?limit=7", 200, records.clone()),
    ]);
    assert_eq!(
        hub.ctl(&["audit"]).await.out,
        "TIME                     COUNT  EVENT              SUBJECT  DETAIL\n\
         2026-01-31 12:00:00 UTC  3      permission_denied  lamp     device.write\\nx\n"
    );
    assert_eq!(hub.ctl(&["--json", "audit", "--limit", "7"]).await.json(), records);
    for bad in ["0", "1001", "x"] {
        assert_eq!(hub.ctl(&["audit", "--limit", bad]).await.code, Some(2));
    }
    hub.asked();
}

#[tokio::test]
async fn the_devices_of_the_machine_are_a_table() {
    let devices = json!({"devices": [
        {"path": "/dev/serial/by-id/usb-0658_0200-if00", "kind": "serial", "state": "present", "module": "zwave",
            "detail": null},
        {"path": "/dev/i2c-1", "kind": "i2c", "state": "refused", "module": null, "detail": "device_access: root's"},
        {"path": "/dev/serial/by-id/usb-\u{1b}[2J", "kind": "serial", "state": "missing", "module": "m2",
            "detail": null}]});
    const PATH: &str = "GET /system/devices";
    let hub = Hub::start([answer(PATH, 200, devices.clone()), answer(PATH, 200, devices.clone())]);
    assert_eq!(
        hub.ctl(&["host-devices"]).await.out,
        "KIND    STATE    MODULE  PATH\n\
         serial  present  zwave   /dev/serial/by-id/usb-0658_0200-if00\n\
         i2c     refused  -       /dev/i2c-1 (device_access: root's)\n\
         serial  missing  m2      /dev/serial/by-id/usb-\\u{1b}[2J\n"
    );
    assert_eq!(hub.ctl(&["--json", "host-devices"]).await.json(), devices);
    hub.asked();
}

#[tokio::test]
async fn a_module_is_shown_with_its_devices() {
    let module = json!({"name": "zwave", "status": "RUNNING", "devices": [
        {"path": "/dev/serial/by-id/a", "state": "present", "detail": null},
        {"path": "/dev/serial/by-id/b", "state": "missing", "detail": "it is not plugged in"}]});
    const PATH: &str = "GET /modules/zwave";
    let hub = Hub::start([answer(PATH, 200, module.clone()), answer(PATH, 200, module.clone())]);
    assert_eq!(
        hub.ctl(&["module", "show", "zwave"]).await.out,
        "name       zwave\n\
         status     RUNNING\n\
         publisher  UNSIGNED: nobody vouches for where it comes from\n\
         device     present /dev/serial/by-id/a\n\
         device     missing /dev/serial/by-id/b (it is not plugged in)\n"
    );
    assert_eq!(hub.ctl(&["--json", "module", "show", "zwave"]).await.json(), module);
    hub.asked();
}

#[test]
fn the_api_is_printed_without_a_hub() {
    let api = Directory::new().ctl(&["api"]).json();
    assert!(api["paths"]["/api/v1/devices"].is_object());
}

#[test]
fn every_shell_understands_its_completion() {
    let here = Directory::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = here.ctl(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(["consent", "language", "completions"].iter().all(|word| ran.out.contains(word)), "{shell}");
        here.file(shell, &ran.out);
    }
    let mut bash = std::process::Command::new("bash");
    bash.args(["-euc", "source ./bash && complete -p selenactl"]);
    let ran = here.run(bash);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(here.ctl(&["completions", "tcsh"]).code, Some(2));
}

#[test]
fn every_command_has_its_help() {
    let here = Directory::new();
    let mut left = vec![Vec::new()];
    let mut count = 0;
    while let Some(command) = left.pop() {
        let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let ran = here.ctl(&arguments);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{arguments:?}");
        let commands = ran.out.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
        for line in commands.into_iter().flat_map(str::lines) {
            let (name, words) = line.trim().split_once(' ').expect("a command and words about it");
            assert!(!words.trim().is_empty(), "{line}");
            if name != "help" {
                left.push([command.as_slice(), &[name.to_owned()]].concat());
            }
        }
        count += 1;
    }
    assert!(count > 25, "{count}");
}

#[tokio::test]
async fn jobs_are_a_table_and_can_be_cancelled() {
    let job = |id: u64, state: &str, module: Option<&str>| {
        json!({ "id": id, "kind": "install", "module": module, "owner": "uid 0", "since": "2026-11-20T10:00:00Z",
            "deadline": "2026-11-20T10:30:00Z", "progress": 40, "message": "it is \u{1b}[2J tried", "state": state,
            "ended": null })
    };
    let jobs = json!({ "jobs": [job(3, "running", Some("lamp")), job(2, "waiting", None)] });
    let refusal = json!({ "detail": "job 2 has ended", "code": "job_not_cancellable" });
    let hub = Hub::start([
        answer("GET /jobs", 200, jobs),
        answer("DELETE /jobs/3", 202, job(3, "cancelling", Some("lamp"))),
        answer("DELETE /jobs/2", 409, refusal),
    ]);
    assert_eq!(
        hub.ctl(&["jobs"]).await.out,
        "ID  STATE    DONE  KIND     MODULE  FOR    SINCE                    DEADLINE                 WHAT\n\
         3   running  40%   install  lamp    uid 0  2026-11-20 10:00:00 UTC  2026-11-20 10:30:00 UTC  it is \\u{1b}[2J tried\n\
         2   waiting  40%   install  -       uid 0  2026-11-20 10:00:00 UTC  2026-11-20 10:30:00 UTC  it is \\u{1b}[2J tried\n"
    );
    assert_eq!(hub.ctl(&["jobs", "cancel", "3"]).await.out, "job 3, install of lamp: it stops at its next step\n");
    let late = hub.ctl(&["jobs", "cancel", "2"]).await;
    assert_eq!(late.code, Some(1));
    assert!(late.err.contains("job 2 has ended"), "{}", late.err);
    hub.asked();
}

#[tokio::test]
async fn the_disk_is_shown_with_who_uses_it() {
    let disk = json!({ "total_bytes": 1 << 30, "free_bytes": 10 << 20, "promised_bytes": 0, "kept_free_bytes": 5 << 20,
        "engine": null, "uses": [
            { "owner": "module", "name": "hoarder", "bytes": 70 << 20, "parts": { "logs": 6 << 20, "data_volume": 64 << 20 },
                "data_used_bytes": 60 << 20 },
            { "owner": "hub", "name": "database", "bytes": 4096, "parts": { "rest": 4096 } },
        ] });
    let hub = Hub::start([answer("GET /system/disk", 200, disk)]);
    assert_eq!(
        hub.ctl(&["disk"]).await.out,
        "SIZE      OF      NAME      DATA USED  PARTS\n\
         70.0 MiB  module  hoarder   60.0 MiB   data volume 64.0 MiB, logs 6.0 MiB\n\
         4.0 KiB   hub     database  -          rest 4.0 KiB\n\
         \n\
         10.0 MiB    free\n\
         0 B         of it promised to modules that have not taken it\n\
         5.0 MiB     of it kept for the hub\n\
         1024.0 MiB  the whole disk\n"
    );
    hub.asked();
}
