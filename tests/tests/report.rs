//! The report of a trial: what a package tried, and its score (protocol, section 2, step 3).

use std::time::{Duration, Instant};

use nix::libc;
use selena_tests::{Hub, Package};
use serde_json::{Value, json};

const NEW_USER: i64 = libc::CLONE_NEWUSER as i64;

/// Calls that are denied: what the report names them, their number and arguments, and the error the module sees.
fn denied_calls() -> Vec<(&'static str, i64, [i64; 4], &'static str)> {
    let raw = i64::from(libc::SOCK_RAW);
    vec![
        ("mount", libc::SYS_mount, [0; 4], "EPERM"),
        ("umount2", libc::SYS_umount2, [0; 4], "EPERM"),
        ("unshare", libc::SYS_unshare, [NEW_USER, 0, 0, 0], "EPERM"),
        ("setns", libc::SYS_setns, [0; 4], "EPERM"),
        ("keyctl", libc::SYS_keyctl, [0; 4], "EPERM"),
        ("bpf", libc::SYS_bpf, [0; 4], "EPERM"),
        ("io_uring_setup", libc::SYS_io_uring_setup, [8, 0, 0, 0], "EPERM"),
        ("process_vm_readv", libc::SYS_process_vm_readv, [1, 0, 0, 0], "EPERM"),
        ("ptrace", libc::SYS_ptrace, [0; 4], "EPERM"),
        ("init_module", libc::SYS_init_module, [0; 4], "EPERM"),
        ("clone", libc::SYS_clone, [NEW_USER, 0, 0, 0], "EPERM"),
        ("socket(AF_ALG)", libc::SYS_socket, [libc::AF_ALG.into(), libc::SOCK_SEQPACKET.into(), 0, 0], "EAFNOSUPPORT"),
        ("socket(AF_VSOCK)", libc::SYS_socket, [libc::AF_VSOCK.into(), 1, 0, 0], "EAFNOSUPPORT"),
        ("socket(AF_PACKET)", libc::SYS_socket, [libc::AF_PACKET.into(), raw, 0, 0], "EAFNOSUPPORT"),
        ("socket(AF_NETLINK)", libc::SYS_socket, [libc::AF_NETLINK.into(), raw, 9, 0], "EPERM"),
        ("socket(45)", libc::SYS_socket, [45, 1, 0, 0], "EAFNOSUPPORT"),
    ]
}

fn as_start(calls: &[(&str, i64, [i64; 4], &str)]) -> Value {
    calls
        .iter()
        .map(|(name, number, arguments, _)| json!({ "name": name, "number": number, "arguments": arguments }))
        .collect()
}

/// A package that fails its trial after it tried something, so that its output is answered.
fn tried(hub: &Hub, mut start: Value) -> (String, Value) {
    start["do"] = json!("exit");
    start["code"] = json!(3);
    let answer = hub.try_install(&Package::probe("tried", 8100).start(start));
    answer.refused(400, "sandbox_failed");
    let mut answer = answer.json();
    (answer["sandbox_output"].as_str().unwrap_or_default().to_owned(), answer["report"].take())
}

#[track_caller]
fn said(output: &str, line: &str) {
    assert!(output.lines().any(|said| said == line), "no line `{line}` in:\n{output}");
}

fn point<'a>(report: &'a Value, id: &str) -> &'a Value {
    let points = report["points"].as_array().expect("points");
    points.iter().find(|point| point["id"] == id).unwrap_or_else(|| panic!("no point {id} in {report}"))
}

fn lost(report: &Value) -> Vec<&str> {
    let points = report["points"].as_array().expect("points").iter();
    points.filter(|point| point["passed"] == false).map(|point| point["id"].as_str().unwrap_or_default()).collect()
}

fn counts(report: &Value) -> Vec<(String, u64)> {
    let denied = report["denied_syscalls"].as_array().unwrap_or_else(|| panic!("unknown: {report}")).iter();
    let mut counts: Vec<_> = denied
        .map(|call| (call["name"].as_str().unwrap_or_default().to_owned(), call["count"].as_u64().unwrap_or_default()))
        .collect();
    counts.sort();
    counts
}

#[test]
fn an_honest_package_has_its_points() {
    let hub = Hub::start();
    let events = json!({ "subscribe": ["device.*", "test.*"], "publish": ["test.*"] });
    let answer = hub.try_install(&Package::probe("honest", 8100).with("events", events)).expect(201).json();
    let report = &answer["report"];
    assert_eq!((&report["score"], lost(report)), (&json!(7), vec!["signed"]), "{report:#}");
    assert_eq!(report["points"].as_array().map(Vec::len), Some(8));
    assert!(report["points"].as_array().unwrap().iter().all(|point| point["explanation"].is_string()), "{report:#}");
    assert_eq!((&report["denied_syscalls"], &report["denied_calls"]), (&json!([]), &json!([])));
    assert_eq!((&report["open_ports"], &report["programs"]), (&json!([8100]), &json!(["/app/probe"])));
    assert!(report["peak_processes"].as_u64().is_some_and(|count| count >= 2), "{report:#}");
    println!("an honest package: {report}");
    let kept = hub.client().get("/modules/honest").expect(200).json();
    assert_eq!(kept["report"], *report, "it is kept");
}

#[test]
fn a_python_package_attempts_nothing_that_is_watched() {
    let hub = Hub::start();
    let main = include_bytes!("../modules/python/main.py");
    let package = Package::plain("snake", 8100).file("main.py", main, 0o644);
    let report = hub.try_install(&package).expect(201).json()["report"].clone();
    assert_eq!(
        (&report["denied_syscalls"], lost(&report)),
        (&json!([]), vec!["signed", "least_privilege"]),
        "{report:#}"
    );
    assert!(report["programs"][0].as_str().is_some_and(|path| path.contains("python3")), "{report:#}");
}

#[test]
fn the_report_lists_exactly_what_was_tried() {
    let hub = Hub::start();
    let calls = denied_calls();
    let twice: Vec<_> = calls.iter().chain(&calls[..1]).copied().collect();
    let start = json!({
        "calls": as_start(&twice), "listen": [9001], "children": 12, "subscribe": ["system.*", "test.*"],
    });
    let answer = hub.try_install(&Package::probe("nosy", 8100).start(start)).expect(201).json();
    let report = &answer["report"];
    let mut expected: Vec<_> = calls.iter().map(|call| (call.0.to_owned(), u64::from(call.0 == "mount") + 1)).collect();
    expected.sort();
    assert_eq!(counts(report), expected);
    assert_eq!(report["open_ports"], json!([8100, 9001]));
    assert!(report["peak_processes"].as_u64().is_some_and(|count| count >= 14), "{report:#}");
    for (id, word) in [("no_denied_syscall", "io_uring_setup"), ("only_its_port", "9001"), ("signed", "signed")] {
        let point = point(report, id);
        assert!(point["passed"] == false && point["explanation"].as_str().unwrap().contains(word), "{point}");
    }
    let score = report["score"].as_u64().unwrap();
    assert_eq!(usize::try_from(score).unwrap(), 8 - lost(report).len(), "{report:#}");
}

#[test]
fn a_trial_answers_denied_calls_as_a_module_gets_them() {
    let hub = Hub::start();
    let calls = denied_calls();
    let (output, report) = tried(&hub, json!({ "calls": as_start(&calls) }));
    for (name, _, _, error) in &calls {
        said(&output, &format!("{name}: {error}"));
    }
    assert_eq!(counts(&report).len(), calls.len(), "also of a module that ended: {report:#}");
    assert!(lost(&report).contains(&"ready_in_time"));
    let module = hub.install(&Package::probe("later", 8100));
    for (name, number, arguments, error) in calls {
        let seen = module.act(&json!({ "act": "syscall", "number": number, "arguments": arguments }));
        assert_eq!(seen["error"], error, "{name}");
    }
}

#[test]
fn a_tracer_of_its_own_lets_nothing_through() {
    let hub = Hub::start();
    let (output, report) = tried(&hub, json!({ "trace": true }));
    for attempt in ["seize", "traceme", "traced unshare", "traced mount", "traced keyctl", "traced clone"] {
        said(&output, &format!("{attempt}: EPERM"));
    }
    said(&output, "surroundings: unchanged");
    let names: Vec<_> = counts(&report);
    let expected = [("clone", 1), ("keyctl", 1), ("mount", 1), ("ptrace", 2), ("unshare", 1)];
    assert_eq!(names, expected.map(|(name, count)| (name.to_owned(), count)));
}

#[test]
fn a_flood_of_denied_calls_is_counted_and_holds_nothing_up() {
    const COUNTED: u64 = 10_000;
    const ASIDE: u64 = 1_000_000;
    let hub = Hub::start();
    let flood = |times: u64| json!({ "number": libc::SYS_mount, "times": times });
    let package = |name: &str, port, start| {
        let processors = json!({ "memory_mb": 32, "cpu": 2.0 });
        Package::probe(name, port).start(start).with("resources", processors)
    };
    let begun = Instant::now();
    let answer = hub.try_install(&package("counted", 8100, json!({ "flood": flood(COUNTED) }))).expect(201).json();
    println!("{COUNTED} denied calls before it was ready: {:?}", begun.elapsed());
    assert_eq!(counts(&answer["report"]), [("mount".to_owned(), COUNTED)]);

    let start = json!({ "flood_aside": flood(ASIDE) });
    let report = hub.try_install(&package("aside", 8101, start)).expect(201).json()["report"].clone();
    println!("{ASIDE} beside its work: {report}");
    assert!(counts(&report)[0].1 <= ASIDE);
    for id in ["ready_in_time", "memory_in_bounds"] {
        assert_eq!(point(&report, id)["passed"], true, "{report:#}");
    }
    // The hub was told of it in as many messages as of one call.
    let messages = hub.log().matches("/boot/denied").count();
    assert!((1..20).contains(&messages), "{messages} messages");
}

#[test]
fn a_forged_report_is_refused_and_recorded() {
    let hub = Hub::start();
    let calls = &denied_calls()[..1];
    let (output, report) =
        tried(&hub, json!({ "calls": as_start(calls), "forge": ["token", "", "guess"], "peek": true }));
    for key in ["token", "", "guess"] {
        said(&output, &format!("forged with `{key}`: HTTP/1.1 403 Forbidden"));
    }
    assert_eq!(counts(&report), [("mount".to_owned(), 1)], "what the init told stands");
    let denied = report["denied_calls"].to_string();
    assert!(denied.contains("report_forged"), "{denied}");
    assert_eq!(point(&report, "no_denied_request")["passed"], false);
    for path in ["environ", "mem", "maps", "auxv", "fd", "map_files"] {
        said(&output, &format!("/proc/1/{path}: permission denied"));
    }

    let module = hub.install(&Package::probe("later", 8100));
    let raw = format!(
        "POST /api/v1/boot/denied HTTP/1.1\r\nHost: localhost:7070\r\nAuthorization: Bearer {}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n",
        module.act(&json!({ "act": "environment" }))["SELENA_MODULE_TOKEN"].as_str().unwrap()
    );
    let answer = module.door(7070).send_raw(raw.as_bytes()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let audit = hub.admin().get("/audit").expect(200).text();
    assert!(audit.contains("report_forged"), "{audit}");
}

#[test]
fn what_could_not_be_told_is_unknown_and_costs_the_point() {
    let hub = Hub::start();
    let (output, report) = tried(&hub, json!({ "calls": as_start(&denied_calls()[..1]), "starve_init": true }));
    said(&output, "starve: done");
    assert!(output.contains("selena-init: telling the hub of denied system calls failed"), "{output}");
    assert_eq!(report["denied_syscalls"], Value::Null);
    let point = point(&report, "no_denied_syscall");
    assert!(point["passed"] == false && point["explanation"].as_str().unwrap().contains("not be observed"), "{point}");
}

#[test]
fn the_key_of_the_reports_is_not_in_the_modules_environment() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("plain", 8100));
    let environment = module.act(&json!({ "act": "environment" }));
    let names: Vec<_> = environment.as_object().unwrap().keys().filter(|name| name.contains("REPORT")).collect();
    assert!(names.is_empty(), "{names:?}");
}

/// Not a rule but a figure: what the watch costs, by the trial's own measure.
#[test]
fn the_time_of_a_trial_is_told() {
    let hub = Hub::start();
    let times: Vec<_> = (0..5_u16)
        .map(|number| {
            let begun = Instant::now();
            let package = Package::probe(&format!("timed-{number}"), 8100 + number);
            let _running = hub.try_install(&package).expect(201);
            let report = hub.client().get(&format!("/modules/timed-{number}")).expect(200).json()["report"].clone();
            (report["time_to_ready_ms"].as_u64().unwrap_or_default(), begun.elapsed())
        })
        .collect();
    println!("time to ready in ms, and of the whole install: {times:?}");
    assert!(times.iter().all(|(ms, _)| Duration::from_millis(*ms) < Duration::from_secs(5)), "{times:?}");
}
