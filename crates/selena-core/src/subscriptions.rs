//! Who wants which events where. Subscriptions live in memory only: a module subscribes at each of its starts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use selena_types::{Event, EventPattern, EventType, ModuleName, Secret};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    ApiError,
    delivery::{Courier, Outgoing, Queue, Signer, Undelivered},
    identity::{Caller, ModuleRun},
    ports::{ModuleAddress, ModuleCalls},
    webhook_url::WebhookUrl,
};

/// Most subscriptions of one module.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 64;

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

/// All subscriptions, and word of the newest event.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    calls: Arc<dyn ModuleCalls>,
    development_secret: Option<Arc<Secret>>,
    subscribers: Mutex<HashMap<ModuleAddress, Subscriber>>,
    undelivered: Mutex<HashMap<ModuleName, Arc<Undelivered>>>,
    newest: watch::Sender<i64>,
}

impl Subscriptions {
    pub(crate) fn new(calls: Arc<dyn ModuleCalls>, development_secret: Option<Arc<Secret>>) -> Self {
        Self {
            calls,
            development_secret,
            subscribers: Mutex::default(),
            undelivered: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }

    /// Changes with every event: holds the newest `seq` since the hub started, 0 before the first.
    pub(crate) fn newest(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    /// Hands a committed event to the queues of all that asked for it. Never blocks.
    pub(crate) fn dispatch(&self, event: &Arc<Event>) {
        let mut outgoing = None;
        let mut render = || outgoing.get_or_insert_with(|| Arc::new(Outgoing::new(event))).clone();
        let internal = event.event_type.is_internal();
        let subscribers = self.subscribers.lock().expect("nothing panics while it holds the subscriptions");
        for subscriber in subscribers.values().filter(|subscriber| subscriber.system || !internal) {
            for entry in subscriber.entries.iter().filter(|entry| entry.wants(&event.event_type)) {
                subscriber.queue.push(render(), entry.path.clone());
            }
        }
        drop(subscribers);
        self.newest.send_replace(event.seq);
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
        // A run that ended while its request was on the way has no subscriptions any more.
        if matches!(caller, Caller::Module(run) if !run.is_live()) {
            return Err(ApiError::Unauthenticated);
        }
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
        let queue = Arc::new(Queue::new(self.undelivered_of(&owner)));
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
            !subscriber.entries.is_empty()
        });
        found
    }

    /// What a module did not receive, in this and its earlier runs.
    pub(crate) fn undelivered_of(&self, owner: &ModuleName) -> Arc<Undelivered> {
        let mut all = self.undelivered.lock().expect("nothing panics while it holds the undelivered");
        all.entry(owner.clone()).or_default().clone()
    }

    /// Forgets what a removed module did not receive.
    pub(crate) fn forget_module(&self, owner: &ModuleName) {
        self.undelivered.lock().expect("nothing panics while it holds the undelivered").remove(owner);
    }

    /// Forgets all that a run subscribed to, and what waits for it.
    pub(crate) fn end_run(&self, run: &ModuleRun) {
        let mut subscribers = self.subscribers.lock().expect("nothing panics while it holds the subscriptions");
        subscribers.retain(|address, _| {
            let ends = matches!(address, ModuleAddress::Run { run: of, .. } if *of == run.run);
            !ends
        });
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Entry {
    fn wants(&self, event_type: &EventType) -> bool {
        self.subscription.patterns.iter().any(|pattern| pattern.matches(event_type))
    }
}
