//! Who wants which events where. Subscriptions live in memory only: a module subscribes at each of its starts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use selena_types::{Event, EventPattern, EventType, ModuleName, Secret};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    ApiError,
    delivery::{Courier, DeadLetter, Outgoing, Queue, Signer},
    identity::{Caller, ModuleRun},
    ports::{ModuleAddress, ModuleCalls},
    webhook_url::WebhookUrl,
};

/// Most subscriptions of one module.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 64;
/// How many events a slow reader of the stream may lag behind before it is told that it missed some.
const STREAM_LAG: usize = 1024;

/// A subscription as it is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Its id.
    pub id: Uuid,
    /// What it asks for.
    pub patterns: Vec<EventPattern>,
    /// Where its events go, as it was given.
    pub webhook_url: String,
}

/// One receiver: a module, or one port of the host for the development token.
#[derive(Debug)]
struct Subscriber {
    owner: ModuleName,
    /// Whether it may see `core.*` and `sync.*`.
    system: bool,
    queue: Arc<Queue>,
    entries: Vec<Entry>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Entry {
    subscription: Subscription,
    path: Arc<str>,
}

/// All subscriptions, and the live stream.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    calls: Arc<dyn ModuleCalls>,
    development_secret: Option<Arc<Secret>>,
    subscribers: Mutex<HashMap<ModuleAddress, Subscriber>>,
    stream: broadcast::Sender<Arc<Outgoing>>,
}

impl Subscriptions {
    pub(crate) fn new(calls: Arc<dyn ModuleCalls>, development_secret: Option<Arc<Secret>>) -> Self {
        Self { calls, development_secret, subscribers: Mutex::default(), stream: broadcast::Sender::new(STREAM_LAG) }
    }

    /// Every event from now on.
    pub(crate) fn stream(&self) -> broadcast::Receiver<Arc<Outgoing>> {
        self.stream.subscribe()
    }

    /// Hands a committed event to the queues of all that asked for it. Never blocks.
    pub(crate) fn dispatch(&self, event: &Arc<Event>) {
        let mut outgoing = None;
        let mut render = || outgoing.get_or_insert_with(|| Arc::new(Outgoing::new(event.clone()))).clone();
        let internal = event.event_type.is_internal();
        let subscribers = self.subscribers.lock().expect("nothing panics while it holds the subscriptions");
        for subscriber in subscribers.values().filter(|subscriber| subscriber.system || !internal) {
            for entry in subscriber.entries.iter().filter(|entry| entry.wants(&event.event_type)) {
                subscriber.queue.push(render(), entry.path.clone());
            }
        }
        drop(subscribers);
        if self.stream.receiver_count() > 0 {
            let _nobody_listens_any_more = self.stream.send(render());
        }
    }

    /// Adds a subscription; the same module and URL replaces, under the id it had.
    ///
    /// # Errors
    /// `limit_subscriptions`.
    pub(crate) fn add(
        &self,
        caller: &Caller,
        patterns: Vec<EventPattern>,
        url: WebhookUrl,
    ) -> Result<Subscription, ApiError> {
        let (owner, address, signer) = match caller {
            Caller::Module(run) => {
                let address = ModuleAddress::Run { run: run.run.clone(), port: url.port };
                (run.name.clone(), address, Signer::Run(run.clone()))
            }
            Caller::Development => {
                let signer = Signer::Development(self.development_secret.clone());
                (ModuleName::development(), ModuleAddress::Host { port: url.port }, signer)
            }
            Caller::Anonymous | Caller::Person { .. } => return Err(ApiError::Unavailable("a webhook for people")),
        };
        let mut subscribers = self.subscribers.lock().expect("nothing panics while it holds the subscriptions");
        let held: Vec<_> = subscribers.values().filter(|s| s.owner == owner).flat_map(|s| &s.entries).collect();
        let earlier = held.iter().find(|entry| entry.subscription.webhook_url == url.text);
        let id = earlier.map(|entry| entry.subscription.id);
        if id.is_none() && held.len() >= MAX_SUBSCRIPTIONS {
            let detail = format!("a module has at most {MAX_SUBSCRIPTIONS} subscriptions: delete one first");
            return Err(ApiError::limit("limit_subscriptions", detail));
        }
        let subscription =
            Subscription { id: id.unwrap_or_else(Uuid::new_v4), patterns, webhook_url: url.text.clone() };
        let subscriber = subscribers
            .entry(address.clone())
            .or_insert_with(|| self.start(owner, address, signer, caller.is_system()));
        subscriber.entries.retain(|entry| entry.subscription.id != subscription.id);
        subscriber.entries.push(Entry { subscription: subscription.clone(), path: url.path.into() });
        Ok(subscription)
    }

    fn start(&self, owner: ModuleName, address: ModuleAddress, signer: Signer, system: bool) -> Subscriber {
        let queue = Arc::new(Queue::default());
        let stop = CancellationToken::new();
        let subscriber = owner.to_string();
        let courier = Courier { queue: queue.clone(), address, signer, calls: self.calls.clone(), subscriber };
        tokio::spawn(courier.run(stop.clone()));
        Subscriber { owner, system, queue, entries: Vec::new(), stop }
    }

    /// Deletes a module's own subscription; `false` if it has none of this id.
    pub(crate) fn remove(&self, owner: &ModuleName, id: Uuid) -> bool {
        let mut subscribers = self.subscribers.lock().expect("nothing panics while it holds the subscriptions");
        let mut found = false;
        subscribers.retain(|_, subscriber| {
            if subscriber.owner == *owner {
                let before = subscriber.entries.len();
                subscriber.entries.retain(|entry| entry.subscription.id != id);
                found |= subscriber.entries.len() < before;
            }
            let keep = !subscriber.entries.is_empty();
            if !keep {
                subscriber.stop.cancel();
            }
            keep
        });
        found
    }

    /// What a module did not receive: how many events were dropped from its full queue, and its dead letters.
    pub(crate) fn undelivered(&self, owner: &ModuleName) -> (u64, Vec<DeadLetter>) {
        let subscribers = self.subscribers.lock().expect("nothing panics while it holds the subscriptions");
        let own: Vec<_> = subscribers.values().filter(|subscriber| subscriber.owner == *owner).collect();
        let dropped = own.iter().map(|subscriber| subscriber.queue.dropped()).sum();
        (dropped, own.iter().flat_map(|subscriber| subscriber.queue.dead_letters()).collect())
    }

    /// Forgets all that a run subscribed to, and what waits for it.
    pub(crate) fn end_run(&self, run: &ModuleRun) {
        let mut subscribers = self.subscribers.lock().expect("nothing panics while it holds the subscriptions");
        subscribers.retain(|address, subscriber| {
            let ends = matches!(address, ModuleAddress::Run { run: of, .. } if *of == run.run);
            if ends {
                subscriber.stop.cancel();
                let dropped = subscriber.queue.dropped();
                if dropped > 0 {
                    tracing::warn!(module = %subscriber.owner, dropped, "events were dropped: the module was too slow");
                }
            }
            !ends
        });
    }
}

impl Entry {
    fn wants(&self, event_type: &EventType) -> bool {
        self.subscription.patterns.iter().any(|pattern| pattern.matches(event_type))
    }
}
