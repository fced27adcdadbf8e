use std::collections::VecDeque;

use super::*;
use crate::ports::{ModuleAnswer, RunId};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

/// A module that answers as told, one answer after the other, and then with 200; `None` is a broken connection.
#[derive(Debug, Default)]
struct Told {
    answers: Mutex<VecDeque<Option<u16>>>,
    heard: Mutex<Vec<(i64, String, Instant)>>,
    all_heard: Notify,
}

impl ModuleCalls for Told {
    fn call<'a>(
        &'a self,
        _to: &'a ModuleAddress,
        request: ModuleRequest<'a>,
    ) -> BoxFuture<'a, Result<ModuleAnswer, CallError>> {
        let body: Event = serde_json::from_slice(&request.body.expect("a body")).expect("an event");
        let delivery = request.headers.iter().find(|(name, _)| *name == "x-selena-delivery").expect("it is sent");
        self.heard.lock().expect("alone").push((body.seq, delivery.1.clone(), Instant::now()));
        self.all_heard.notify_one();
        let answer = self.answers.lock().expect("alone").pop_front().unwrap_or(Some(200));
        Box::pin(async move { answer.map(|status| ModuleAnswer { status, body: None }).ok_or(CallError::Timeout) })
    }

    fn forget(&self, _run: &RunId) {}
}

fn event(seq: i64) -> Arc<Outgoing> {
    let id = Uuid::new_v4();
    let event_type = EventType::new("a.b").expect("good");
    let payload = serde_json::json!({});
    let event =
        Event { id, event_id: id, seq, event_type, source: "x".to_owned(), timestamp: Timestamp::now(), payload };
    Arc::new(Outgoing::new(&event))
}

fn courier(told: &Arc<Told>) -> Courier {
    Courier {
        queue: Arc::new(Queue::new(Arc::default())),
        address: ModuleAddress::Host { port: 1 },
        signer: Signer::Development(None),
        calls: told.clone(),
        subscriber: "x".to_owned(),
    }
}

/// Delivers the events, and tells what was heard once there were so many calls.
async fn heard(told: &Arc<Told>, events: i64, calls: usize) -> (Vec<(i64, String)>, Vec<Duration>, Arc<Queue>) {
    let courier = courier(told);
    let queue = courier.queue.clone();
    for seq in 1..=events {
        queue.push(event(seq), "/".into());
    }
    let stop = CancellationToken::new();
    let work = tokio::spawn(courier.run(stop.clone()));
    while told.heard.lock().expect("alone").len() < calls {
        told.all_heard.notified().await;
    }
    tokio::task::yield_now().await;
    stop.cancel();
    work.await.expect("it ends");
    let heard = told.heard.lock().expect("alone").clone();
    let gaps = heard.windows(2).map(|pair| pair[1].2 - pair[0].2).collect();
    (heard.into_iter().map(|(seq, delivery, _)| (seq, delivery)).collect(), gaps, queue)
}

#[tokio::test(start_paused = true)]
async fn e10_three_attempts_one_and_two_seconds_apart_then_a_dead_letter() {
    let told = Arc::new(Told::default());
    *told.answers.lock().expect("alone") = [Some(500), None, Some(503)].into();
    let (heard, gaps, queue) = heard(&told, 2, 4).await;
    let expected = [(1, "1"), (1, "2"), (1, "3"), (2, "1")].map(|(seq, n)| (seq, n.to_owned()));
    assert_eq!(heard, expected, "in order, the next one after the first was given up");
    assert_eq!(gaps.iter().map(|gap| gap.as_secs()).collect::<Vec<_>>(), [1, 2, 0]);
    let dead = queue.undelivered.dead_letters();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].seq, dead[0].reason.as_str(), dead[0].path.as_str()), (1, "answered 503", "/"));
}

#[tokio::test(start_paused = true)]
async fn any_status_below_500_counts_as_delivered() {
    let told = Arc::new(Told::default());
    *told.answers.lock().expect("alone") = [Some(404), Some(302), Some(200), Some(499)].into();
    let (heard, _, queue) = heard(&told, 4, 4).await;
    assert!(heard.iter().all(|(_, delivery)| delivery == "1"), "{heard:?}");
    assert!(queue.undelivered.dead_letters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn e04_a_full_queue_drops_the_oldest_and_counts() {
    let queue = Queue::new(Arc::default());
    for seq in 1..=1005 {
        queue.push(event(seq), "/".into());
    }
    assert_eq!(queue.undelivered.dropped(), 5);
    assert_eq!(queue.pop().await.0.seq, 6);
}

#[tokio::test(start_paused = true)]
async fn e02_a_queue_of_large_events_is_bounded_in_bytes() {
    let queue = Queue::new(Arc::default());
    let large = |seq| {
        Arc::new(Outgoing { body: vec![b'x'; 1024 * 1024].into(), ..Arc::into_inner(event(seq)).expect("alone") })
    };
    for seq in 1..=10 {
        queue.push(large(seq), "/".into());
    }
    assert_eq!(queue.undelivered.dropped(), 6, "4 MiB wait");
    assert_eq!(queue.pop().await.0.seq, 7);
}
