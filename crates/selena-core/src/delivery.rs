//! Delivery of events to subscribers: signed, in order, one bounded queue each (protocol, section 6).

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use selena_types::{Event, EventType, Secret};
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    identity::ModuleRun,
    ports::{CallError, ModuleAddress, ModuleCalls, ModuleRequest},
    signature,
};

/// Most events that wait for one subscriber; then the oldest are dropped and counted.
pub(crate) const MAX_QUEUE: usize = 1000;
/// Most bytes that wait for one subscriber; one event may be larger alone.
const MAX_QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// How long one attempt may take.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The pauses between the attempts: there is one more attempt than pauses.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// Most of an answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Most undelivered events that are remembered of one subscriber.
const MAX_DEAD_LETTERS: usize = 100;

/// An event as it is sent, rendered once for all subscribers; the event itself is not kept.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) seq: i64,
    pub(crate) id: Uuid,
    pub(crate) event_type: EventType,
    /// Its JSON.
    pub(crate) body: Bytes,
}

impl Outgoing {
    /// Renders an event.
    pub(crate) fn new(event: &Event) -> Self {
        let body = serde_json::to_vec(event).expect("an event is JSON: its keys are texts").into();
        Self { seq: event.seq, id: event.id, event_type: event.event_type.clone(), body }
    }
}

/// An event that was given up, and why.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeadLetter {
    pub(crate) event_id: Uuid,
    pub(crate) seq: i64,
    #[serde(rename = "type")]
    pub(crate) event_type: EventType,
    pub(crate) path: String,
    pub(crate) reason: String,
}

/// What a module did not receive; outlives its runs.
#[derive(Debug, Default)]
pub(crate) struct Undelivered {
    dropped: AtomicU64,
    dead: Mutex<VecDeque<DeadLetter>>,
}

impl Undelivered {
    /// How many events were dropped because the module was too slow.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// What was given up, oldest first.
    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.dead.lock().expect("nothing panics while it holds the dead letters").iter().cloned().collect()
    }

    fn bury(&self, letter: DeadLetter) {
        let mut dead = self.dead.lock().expect("nothing panics while it holds the dead letters");
        if dead.len() >= MAX_DEAD_LETTERS {
            dead.pop_front();
        }
        dead.push_back(letter);
    }
}

/// What waits for one subscriber.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
    undelivered: Arc<Undelivered>,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<(Arc<Outgoing>, Arc<str>)>,
    bytes: usize,
}

impl Waiting {
    fn pop(&mut self) -> Option<(Arc<Outgoing>, Arc<str>)> {
        let next = self.events.pop_front()?;
        self.bytes -= next.0.body.len();
        Some(next)
    }
}

impl Queue {
    pub(crate) fn new(undelivered: Arc<Undelivered>) -> Self {
        Self { waiting: Mutex::default(), wake: Notify::new(), undelivered }
    }

    /// Appends an event for a path of the subscriber; drops the oldest ones if there are too many. Never blocks.
    pub(crate) fn push(&self, event: Arc<Outgoing>, path: Arc<str>) {
        let mut waiting = self.waiting.lock().expect("nothing panics while it holds the queue");
        waiting.bytes += event.body.len();
        waiting.events.push_back((event, path));
        while waiting.events.len() > MAX_QUEUE || (waiting.bytes > MAX_QUEUE_BYTES && waiting.events.len() > 1) {
            waiting.pop();
            self.undelivered.dropped.fetch_add(1, Ordering::Relaxed);
        }
        drop(waiting);
        self.wake.notify_one();
    }

    async fn pop(&self) -> (Arc<Outgoing>, Arc<str>) {
        loop {
            if let Some(next) = self.waiting.lock().expect("nothing panics while it holds the queue").pop() {
                return next;
            }
            self.wake.notified().await;
        }
    }
}

/// With what a subscriber's events are signed.
#[derive(Clone, Debug)]
pub(crate) enum Signer {
    /// The module's webhook secret.
    Run(Arc<ModuleRun>),
    /// The development token's, if there is one.
    Development(Option<Arc<Secret>>),
}

impl Signer {
    fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Run(run) => Some(&run.webhook_secret),
            Self::Development(secret) => secret.as_deref(),
        }
    }
}

/// Where and how one subscriber's events go.
#[derive(Clone, Debug)]
pub(crate) struct Courier {
    pub(crate) queue: Arc<Queue>,
    pub(crate) address: ModuleAddress,
    pub(crate) signer: Signer,
    pub(crate) calls: Arc<dyn ModuleCalls>,
    /// Whom the journal names.
    pub(crate) subscriber: String,
}

impl Courier {
    /// Delivers one event after the other until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let deliver = async {
            loop {
                let (event, path) = self.queue.pop().await;
                self.deliver(&event, path).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = deliver => {}
        }
    }

    async fn deliver(&self, outgoing: &Outgoing, path: Arc<str>) {
        let mut pauses = PAUSES.iter();
        let mut attempt = 1_u32;
        loop {
            let reason = match self.attempt(outgoing, &path, attempt).await {
                Ok(status) if status < 500 => return,
                Ok(status) => format!("answered {status}"),
                Err(error) => crate::error::chain(&error),
            };
            let Some(pause) = pauses.next() else {
                tracing::warn!(
                    module = self.subscriber,
                    event_id = %outgoing.id,
                    event_type = %outgoing.event_type,
                    reason,
                    "an event was given up after {attempt} attempts"
                );
                let letter = DeadLetter {
                    event_id: outgoing.id,
                    seq: outgoing.seq,
                    event_type: outgoing.event_type.clone(),
                    path: path.to_string(),
                    reason,
                };
                return self.queue.undelivered.bury(letter);
            };
            tracing::debug!(module = self.subscriber, event_id = %outgoing.id, attempt, reason, "delivery failed");
            tokio::time::sleep(*pause).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, outgoing: &Outgoing, path: &str, attempt: u32) -> Result<u16, CallError> {
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-event-id", outgoing.id.to_string()),
            ("x-event-type", outgoing.event_type.to_string()),
            ("x-selena-event", outgoing.event_type.to_string()),
            ("x-selena-timestamp", Timestamp::now().as_second().to_string()),
            ("x-selena-delivery", attempt.to_string()),
        ];
        if let Some(secret) = self.signer.secret() {
            headers.push(("x-selena-signature", signature::sign(secret, &outgoing.body)));
        }
        let request = ModuleRequest {
            path,
            headers: &headers,
            body: Some(outgoing.body.clone()),
            timeout: ATTEMPT_TIMEOUT,
            max_answer_bytes: MAX_ANSWER_BYTES,
        };
        Ok(self.calls.call(&self.address, request).await?.status)
    }
}

#[cfg(test)]
mod tests;
