//! Modules that take what they can get, or do not answer (series R).

use selena_tests::{Engine, Hub, Package, wait};
use serde_json::json;

#[test]
fn r06_a_memory_hog_is_killed_alone() {
    let hub = Hub::start();
    let bystander = hub.install(&Package::probe("bystander", 8100));
    let hog = hub.install(&Package::probe("hog", 8101));
    let memory = resident_kib(hub.pid());
    hog.misbehave(&json!({ "act": "allocate" }));
    wait::until("the crash is seen", 20, || !hub.events("module.crashed").is_empty());
    let crash = hub.events("module.crashed").pop().unwrap();
    let reason = crash["payload"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.to_lowercase().contains("memory") || reason.contains("oom"), "the cause is shown: {reason}");
    assert_eq!(hub.module("bystander").container, bystander.container);
    assert!(resident_kib(hub.pid()) < memory + 16 * 1024, "the core's memory is unchanged");
    let _back = hub.hears_again("hog", 20);
}

#[test]
fn r07_a_fork_bomb_stops_at_its_limit() {
    let hub = Hub::start();
    let package = Package::probe("bomb", 8100).with("resources", json!({ "memory_mb": 128, "pids": 20 }));
    let bomb = hub.install(&package);
    bomb.misbehave(&json!({ "act": "fork" }));
    let processes = || Engine::default().top(&bomb.container).len();
    wait::until("it reaches its limit", 20, || processes() >= 10);
    assert!(processes() <= 20);
    let _the_core_answers = hub.client().get("/devices").expect(200);
    let stopped = hub.client().post("/modules/bomb/stop", &json!({})).expect(200).json();
    assert_eq!(stopped["status"], "STOPPED");
    assert!(hub.try_module("bomb").is_none());
}

#[test]
fn r08_a_spinning_module_leaves_the_core_alive() {
    let hub = Hub::unlimited();
    let spinner = hub.install(&Package::probe("spinner", 8100));
    spinner.misbehave(&json!({ "act": "spin" }));
    let begun = std::time::Instant::now();
    for _ in 0..50 {
        let _quick = hub.client().get("/health").expect(200);
    }
    assert!(begun.elapsed().as_secs() < 5, "50 requests took {:?}", begun.elapsed());
    let _stopped = hub.client().post("/modules/spinner/stop", &json!({})).expect(200);
}

#[test]
fn r11_a_module_that_ignores_its_end_is_killed() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("stubborn", 8100));
    module.misbehave(&json!({ "act": "hang" }));
    let begun = std::time::Instant::now();
    let _stopped = hub.client().post("/modules/stubborn/stop", &json!({})).expect(200);
    assert!(begun.elapsed().as_secs() <= 10, "the stop took {:?}", begun.elapsed());
    assert!(hub.try_module("stubborn").is_none());
}

#[test]
fn r11_a_module_whose_health_hangs_is_replaced() {
    let hub = Hub::start();
    let before = hub.install(&Package::probe("hanging", 8100));
    before.misbehave(&json!({ "act": "hang" }));
    // The next question is up to 30 s away; then three of 5 s, and the pauses between them.
    wait::until("three failures are a crash", 70, || !hub.events("module.crashed").is_empty());
    let after = hub.hears_again("hanging", 20);
    assert_ne!(after.container, before.container);
}

#[test]
fn r11_a_program_that_never_answers_fails_its_trial() {
    let hub = Hub::start();
    let answer = hub.try_install(&Package::probe("deaf", 8100).start(json!({ "do": "deaf" })));
    answer.refused(400, "sandbox_failed");
    assert_eq!(Engine::default().containers(hub.prefix()).len(), 0, "its container is gone");
    assert_eq!(Engine::default().images(hub.prefix()).len(), 0, "and its image");
}

#[test]
fn r13_an_answer_that_is_huge_endless_or_no_http_is_cut_off_and_harms_nobody() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("spoiler", 8100));
    let memory = resident_kib(hub.pid());
    let command = || hub.admin().post("/modules/spoiler/command", &json!({ "command": "test", "payload": {} }));
    for (how, status) in [("huge", 502), ("endless", 502), ("headers", 502), ("no http", 502), ("silent", 504)] {
        module.act(&json!({ "act": "spoil", "how": how }));
        let begun = std::time::Instant::now();
        let answer = command();
        assert_eq!(answer.status, status, "{how}: {}", answer.text());
        assert!(begun.elapsed().as_secs() <= 35, "{how}: cut off after {:?}", begun.elapsed());
        let _the_core_answers = hub.client().get("/devices").expect(200);
    }
    assert!(resident_kib(hub.pid()) < memory + 16 * 1024, "nothing of it is kept");
    module.act(&json!({ "act": "spoil", "how": "" }));
    let _good_again = command().expect(200);
    assert_eq!(hub.status("spoiler"), "RUNNING");
}

#[test]
fn r20_a_removal_in_the_midst_of_a_start_or_an_update_is_total() {
    let hub = Hub::unlimited();
    for act in ["start", "update", "install"] {
        if act != "install" {
            let _there = hub.install(&Package::probe("going", 8100));
        }
        if act == "start" {
            let _stopped = hub.client().post("/modules/going/stop", &json!({})).expect(200);
        }
        std::thread::scope(|scope| {
            let going = scope.spawn(|| match act {
                "start" => hub.client().post("/modules/going/start", &json!({})).status,
                "update" => hub.try_install(&Package::probe("going", 8100).version("1.1.0")).status,
                _ => hub.try_install(&Package::probe("going", 8100)).status,
            });
            wait::until("it is removed in the midst of it", 60, || {
                let removed = hub.client().delete("/modules/going").status;
                removed == 204 || going.is_finished()
            });
            let status = going.join().expect("it is answered");
            assert!(status < 500 || status == 503, "{act}: {status}");
        });
        // An install that was first, or that began anew after the removal, is there; whatever is there is whole.
        hub.settles(&format!("R20: a removal during {act}"));
        if hub.client().get("/modules/going").status == 200 {
            let _gone = hub.client().delete("/modules/going").expect(204);
        }
        hub.settles(&format!("R20: after {act}"));
        assert!(hub.try_module("going").is_none());
    }
}

/// Memory of a process, in KiB.
fn resident_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).expect("the kernel tells its memory")
}
