//! What breaks while modules run, and how they come back (series R).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use selena_tests::{Engine, Hub, Package, http::Request, wait};
use serde_json::json;

#[test]
fn a_killed_hub_starts_its_modules_anew() {
    let mut hub = Hub::start();
    let before = hub.install(&Package::probe("lasting", 8100));
    before.act(&json!({ "act": "write", "path": "/data/notes", "text": "kept" }));
    let (token, secret) = (before.token(), before.webhook_secret());
    let device = hub.device("sensor");
    hub.kill();
    assert_eq!(
        Engine::default().inspect(&before.container)["State"]["Running"],
        true,
        "the container outlives the hub"
    );
    hub.start_again();
    let after = hub.hears_again("lasting", 30);
    assert_ne!(after.container, before.container);
    assert_ne!(after.token(), token);
    assert_eq!(after.webhook_secret(), secret);
    assert_eq!(Engine::default().containers(hub.prefix()).len(), 1, "no second container");
    after.core_without_token().with_token(&token).get("/devices").refused(401, "unauthenticated");
    assert_eq!(after.act(&json!({ "act": "read", "path": "/data/notes" }))["done"], "kept");
    let _kept = hub.client().get(&format!("/devices/{device}")).expect(200);
    assert_eq!(hub.status("lasting"), "RUNNING");
}

#[test]
fn r05_a_crashed_module_comes_back() {
    let hub = Hub::start();
    for (name, port, crash) in
        [("exits", 8100, json!({ "act": "exit", "code": 1 })), ("aborts", 8101, json!({ "act": "abort" }))]
    {
        let before = hub.install(&Package::probe(name, port));
        before.misbehave(&crash);
        wait::until("the crash is seen", 10, || {
            hub.try_module(name).is_none_or(|now| now.container != before.container)
        });
        let after = hub.hears_again(name, 20);
        assert_ne!(after.container, before.container);
        let crash = hub.events("module.crashed").pop().unwrap();
        assert_eq!(crash["payload"]["name"], name);
        assert!(crash["payload"]["reason"].is_string());
    }
}

#[test]
fn r05_five_crashes_are_quarantine_until_a_person_starts_it() {
    let hub = Hub::start();
    let mut container = String::new();
    let first = hub.install(&Package::probe("looping", 8100));
    for crash in 1..=5 {
        let module = if crash == 1 {
            first.clone()
        } else {
            wait::for_some("it is started again", 30, || {
                hub.try_module("looping").filter(|now| now.container != container)
            })
        };
        wait::until("it answers", 10, || module.try_heard().is_some() && hub.status("looping") == "RUNNING");
        container.clone_from(&module.container);
        module.misbehave(&json!({ "act": "exit", "code": 1 }));
        wait::until("the crash is counted", 10, || hub.events("module.crashed").len() == crash);
    }
    wait::until("it is quarantined", 10, || hub.status("looping") == "QUARANTINED");
    assert!(hub.details("looping")["error"].is_string());
    let event = hub.events("module.quarantined").pop().unwrap();
    assert_eq!(event["payload"]["name"], "looping");
    assert!(hub.try_module("looping").is_none());
    let started = hub.client().post("/modules/looping/start", &json!({})).expect(200).json();
    assert_eq!(started["status"], "RUNNING");
    let again = hub.hears_again("looping", 10);
    again.misbehave(&json!({ "act": "exit", "code": 1 }));
    wait::until("a crash after that is the first again", 20, || {
        hub.try_module("looping").is_some_and(|now| now.container != again.container)
    });
}

#[test]
fn a_quarantine_outlives_the_hub() {
    let mut hub = Hub::start();
    // Data make it end at each start.
    let module = hub.install(&Package::probe("looping", 8100).start(json!({ "do": "exit_with_data" })));
    module.act(&json!({ "act": "write", "path": "/data/notes", "text": "a reason to end" }));
    module.misbehave(&json!({ "act": "exit", "code": 1 }));
    wait::until("it is quarantined", 60, || hub.status("looping") == "QUARANTINED");
    hub.kill();
    hub.start_again();
    let _other = hub.install(&Package::probe("other", 8101));
    assert_eq!(hub.status("looping"), "QUARANTINED");
    assert!(hub.try_module("looping").is_none());
}

#[test]
fn r05_c02_neither_a_kill_of_the_hub_nor_a_clock_that_is_set_begins_a_crash_loop_anew() {
    let mut hub = Hub::start();
    let module = hub.install(&Package::probe("looping", 8100).start(json!({ "do": "exit_with_data" })));
    module.act(&json!({ "act": "write", "path": "/data/notes", "text": "a reason to end" }));
    module.misbehave(&json!({ "act": "exit", "code": 1 }));
    let crashes = |hub: &Hub| hub.events("module.crashed");
    for (seen, years) in [(2, 10), (3, -10), (4, 10)] {
        wait::until("it crashes again", 30, || crashes(&hub).len() >= seen);
        hub.kill();
        // As a hub leaves it whose clock was wrong by so much, and is right now.
        hub.set_crash_days(years);
        hub.start_again();
    }
    wait::until("it is quarantined", 60, || hub.status("looping") == "QUARANTINED");
    let crashes = crashes(&hub);
    assert_eq!(crashes.len(), 5, "each was counted once: {crashes:?}");
    let at =
        |n: usize| crashes[n]["timestamp"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok()).expect("a time");
    for (n, pause) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        let waited = at(n).duration_since(at(n - 1)).as_secs_f64();
        // What the module takes to end, and the hub to start, comes to the pause.
        assert!((f64::from(pause)..f64::from(pause) + 15.0).contains(&waited), "before crash {}: {waited} s", n + 1);
    }
}

#[test]
fn r14_a_container_removed_by_hand_comes_back() {
    let hub = Hub::start();
    let before = hub.install(&Package::probe("lasting", 8100));
    let token = before.token();
    let _removed = Engine::default().remove(&before.container).expect(204);
    let after = hub.hears_again("lasting", 60);
    assert_ne!(after.container, before.container);
    after.core_without_token().with_token(&token).get("/devices").refused(401, "unauthenticated");
    wait::until("it is stored as running", 5, || hub.status("lasting") == "RUNNING");
}

#[test]
fn e09_every_event_that_was_answered_is_there_after_a_kill() {
    let mut hub = Hub::unlimited();
    let client = hub.client();
    let publishing = Arc::new(AtomicUsize::new(0));
    let counted = publishing.clone();
    let publisher = thread::spawn(move || {
        let mut answered = Vec::new();
        for n in 0.. {
            let event = json!({ "event_type": "test.kept", "payload": { "n": n } });
            let request = Request::new("POST", "/events/publish").json(&event);
            match client.try_send(&request) {
                Ok(answer) if answer.status == 200 => answered.push(answer.json()["event_id"].clone()),
                _ => return answered,
            }
            counted.fetch_add(1, Ordering::SeqCst);
        }
        answered
    });
    wait::until("many were published", 30, || publishing.load(Ordering::SeqCst) >= 300);
    hub.kill();
    let answered = publisher.join().expect("it published");
    hub.start_again();
    let kept: Vec<_> = hub.events("test.kept").into_iter().map(|event| event["event_id"].clone()).collect();
    assert!(answered.len() >= 300);
    assert!(answered.iter().all(|id| kept.contains(id)), "an event that was answered is lost");
    assert!(kept.len() <= answered.len() + 1, "only the one under way may be there without an answer");
}
