//! Floods: they are refused, recorded in few lines, and nobody else is hit (protocol, section 5; series K and E).

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use selena_tests::{Answer, Client, Hub, Package, http::Request, wait};
use serde_json::json;

/// Asks in several threads while `meanwhile` runs; counts the answers by their status, and tells how long it took.
fn flood<T>(ask: impl Fn() -> Answer + Sync, meanwhile: impl FnOnce() -> T) -> (HashMap<u16, usize>, Duration, T) {
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    thread::scope(|scope| {
        let one = || {
            let mut seen = HashMap::<u16, usize>::new();
            while !over.load(Ordering::SeqCst) {
                let answer = ask();
                if answer.status == 429 {
                    assert_eq!(answer.header("retry-after"), Some("1"));
                }
                *seen.entry(answer.status).or_default() += 1;
            }
            seen
        };
        let floods: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        let value = meanwhile();
        over.store(true, Ordering::SeqCst);
        let mut all = HashMap::new();
        for flood in floods {
            for (status, count) in flood.join().expect("it asked") {
                *all.entry(status).or_default() += count;
            }
        }
        (all, begun.elapsed(), value)
    })
}

/// What may pass of a limit in that time: in any second no more than `per_second`.
fn most(per_second: u64, took: Duration) -> usize {
    usize::try_from(per_second * (took.as_secs() + 2)).expect("few seconds")
}

#[test]
fn k09_random_tokens_are_limited_recorded_once_a_minute_and_hit_nobody_else() {
    let hub = Hub::start();
    let guesses: Vec<Client> = (0..50).map(|n| hub.anonymous().with_token(&format!("guess-{n:043}"))).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let guess = || guesses[next.fetch_add(1, Ordering::Relaxed) % guesses.len()].get("/devices");
    let (answers, took, ()) = flood(guess, || {
        for _ in 0..60 {
            let _not_hit = hub.client().get("/devices").expect(200);
            let _neither = hub.admin().get("/health").expect(200);
        }
    });
    let passed = answers.get(&401).copied().unwrap_or_default();
    assert!(passed <= most(20, took), "{passed} guesses in {took:?}");
    assert!(answers.get(&429).copied().unwrap_or_default() > passed, "the rest was not looked at: {answers:?}");
    assert_eq!(answers.len(), 2, "{answers:?}");
    wait::until("they leave records", 10, || !hub.audit("rate_limited").is_empty());
    let records = hub.audit("unauthenticated").len() + hub.audit("rate_limited").len();
    assert!(records <= 6, "equal records of a minute are one: {records}");
}

/// How many requests were refused for being too many.
fn refusals(hub: &Hub) -> u64 {
    hub.audit("rate_limited").iter().filter_map(|record| record["count"].as_u64()).sum()
}

#[test]
fn k09_guesses_on_ever_new_connections_leave_room_for_a_good_token() {
    let hub = Hub::start();
    let over = AtomicBool::new(false);
    let (guess, good) = (hub.anonymous().with_token(&"g".repeat(64)), hub.client());
    // More at once than the listener has places; each opens a connection for each guess.
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    // One that is turned away comes again.
                    let _refused = guess.try_send(&Request::new("GET", "/devices"));
                }
            });
        }
        let _end = End(&over);
        wait::until("it is a flood", 20, || refusals(&hub) > 500);
        for n in 0..20 {
            let answer = good.try_send(&Request::new("GET", "/devices"));
            assert_eq!(answer.map(|answer| answer.status).ok(), Some(200), "good request {n}");
        }
    });
}

/// Ends the flood, also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn e01_a_module_that_floods_is_limited_and_another_ones_events_arrive() {
    let hub = Hub::start();
    let loud = hub.install(&Package::probe("loud", 8100).start(json!({})));
    let calm = hub.install(&Package::probe("calm", 8101));
    let event = json!({ "event_type": "noise.made", "payload": { "text": "x".repeat(500) } });
    let (answers, took, ()) = flood(
        || loud.core().post("/events/publish", &event),
        || {
            for n in 0..20 {
                let body = json!({ "event_type": "test.calm", "payload": { "n": n } });
                let _published = calm.core().post("/events/publish", &body).expect(200);
            }
            wait::until("all of them are heard", 20, || {
                calm.heard().iter().filter(|heard| heard.event()["type"] == "test.calm").count() == 20
            });
        },
    );
    let passed = answers.get(&200).copied().unwrap_or_default();
    assert!(passed <= most(100, took), "{passed} events in {took:?}");
    assert!(answers.keys().all(|status| [200, 429].contains(status)), "{answers:?}");
    let heard = calm.heard();
    let order: Vec<_> = heard
        .iter()
        .map(|h| h.event())
        .filter(|e| e["type"] == "test.calm")
        .map(|e| e["payload"]["n"].clone())
        .collect();
    assert_eq!(json!(order), json!((0..20).collect::<Vec<_>>()), "in order");
}

#[test]
fn e02_a_module_may_send_so_many_bytes_and_no_more() {
    let hub = Hub::start();
    let module = hub.install(&Package::probe("wordy", 8100));
    let core = module.core();
    // Each is refused for its name, and counted all the same.
    let large = json!({ "name": "x".repeat(1000 * 1000), "type": "sensor", "protocol": "test" });
    let begun = Instant::now();
    let mut passed = 0;
    wait::until("it has sent what it may", 60, || {
        let answer = core.post("/devices", &large);
        assert!(matches!(answer.status, 422 | 429), "{answer:?}");
        passed += u64::from(answer.status == 422);
        answer.status == 429
    });
    // 16 MiB at once, and 4 MiB a second since.
    let most = 17 + 5 * (begun.elapsed().as_secs() + 1);
    assert!((16..=most).contains(&passed), "{passed} passed in {:?}", begun.elapsed());
    let _small = core.get("/health").expect(200);
    wait::until("it may send again", 20, || core.post("/devices", &large).status == 422);
    assert!(!hub.audit("rate_limited").is_empty());
}
