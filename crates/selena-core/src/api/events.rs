//! Events, as the API offers them (protocol, section 6).

use std::sync::Arc;

use jiff::Timestamp;
use selena_types::{Event, EventPattern, EventType, Problems};
use serde_json::{Map, Value};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Api, MAX_PAGE};
use crate::{
    ApiError,
    identity::Caller,
    ports::EventQuery,
    subscriptions::Subscription,
    transact::{read, write},
    webhook_url::WebhookUrl,
};

/// Most rows that one page of events looks at before it answers with fewer.
const MAX_SCAN: i64 = 10_000;
/// Most bytes of payload in one page of events; one event may be larger alone. What is read takes many times that.
const MAX_PAGE_BYTES: usize = 256 * 1024;

impl Api {
    /// `POST /events/publish`.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] for a type that is not the caller's to publish, or the store's.
    pub async fn publish(
        &self,
        caller: &Caller,
        event_type: EventType,
        payload: Map<String, Value>,
    ) -> Result<Arc<Event>, ApiError> {
        let forbidden = |detail: &str| ApiError::Forbidden { code: "event_reserved", detail: detail.to_owned() };
        if event_type.is_core() {
            return Err(forbidden("Publishing core.* events is forbidden for modules"));
        }
        if event_type.is_reserved() && !caller.is_system() {
            return Err(forbidden(&format!("events of type {event_type} are published by the hub only")));
        }
        if let Caller::Module(run) = caller
            && let Some(allowed) = &run.events.publish
            && !allowed.iter().any(|pattern| pattern.matches(&event_type))
        {
            return Err(not_declared("publish", event_type.as_str()));
        }
        let source = caller.source().to_owned();
        write(&self.store, move |tx| {
            Ok(tx.append_event(Uuid::new_v4(), &event_type, &source, Timestamp::now(), Value::Object(payload))?)
        })
        .await
    }

    /// `POST /events/subscribe`.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] for patterns the caller may not see, [`ApiError::Invalid`] for a URL that is not its own,
    /// `limit_subscriptions`.
    pub fn subscribe(
        &self,
        caller: &Caller,
        patterns: Vec<EventPattern>,
        webhook_url: &str,
    ) -> Result<Subscription, ApiError> {
        if !caller.is_system()
            && let Some(pattern) = patterns.iter().find(|pattern| pattern.names_internal())
        {
            let detail = format!("events of type {pattern} are for the hub itself");
            return Err(ApiError::Forbidden { code: "event_reserved", detail });
        }
        if let Some(pattern) = patterns.iter().find(|pattern| !may_ask_for(caller, pattern)) {
            return Err(not_declared("subscribe", &pattern.to_string()));
        }
        let url = WebhookUrl::parse(webhook_url).filter(|url| match caller {
            Caller::Module(run) => run.port.is_some_and(|port| port.get() == url.port),
            _ => true,
        });
        let url = url.ok_or_else(|| {
            let msg = "must be http://localhost:<the module's own port>/<path>";
            Problems::one(["body".into(), "webhook_url".into()], "webhook_url", msg)
        })?;
        self.subscriptions.add(caller, patterns, url)
    }

    /// `DELETE /events/subscriptions/{id}`: only the caller's own.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub fn unsubscribe(&self, caller: &Caller, id: Uuid) -> Result<(), ApiError> {
        let removed = caller.module().is_some_and(|owner| self.subscriptions.remove(&owner, id));
        if removed { Ok(()) } else { Err(ApiError::NotFound("subscription")) }
    }

    /// `GET /events`: what the caller could have received, with the `seq` to go on from.
    ///
    /// # Errors
    /// The store's.
    pub async fn events(
        &self,
        caller: &Caller,
        since_seq: i64,
        pattern: Option<EventPattern>,
        limit: usize,
    ) -> Result<(Vec<Event>, i64), ApiError> {
        let caller = caller.clone();
        let query = EventQuery {
            since_seq,
            limit: limit.min(MAX_PAGE),
            max_bytes: MAX_PAGE_BYTES,
            max_scan: MAX_SCAN,
            wanted: Box::new(move |event_type| {
                pattern.as_ref().is_none_or(|pattern| pattern.matches(event_type)) && may_see(&caller, event_type)
            }),
        };
        let page = read(self.store(), move |rows| rows.events_page(&query)).await?;
        Ok((page.events, page.next_since_seq))
    }

    /// The newest `seq`.
    ///
    /// # Errors
    /// The store's.
    pub async fn last_seq(&self) -> Result<i64, ApiError> {
        read(&self.store, |rows| rows.last_seq()).await
    }

    /// Changes with every event, for `GET /events/stream`: what is new is then read as a page.
    pub fn newest_event(&self) -> watch::Receiver<i64> {
        self.subscriptions().newest()
    }
}

/// Whether a caller could have received an event of this type by subscription (protocol, section 6).
#[must_use]
pub fn may_see(caller: &Caller, event_type: &EventType) -> bool {
    match caller {
        Caller::Person { .. } => true,
        _ if event_type.is_internal() => caller.is_system(),
        Caller::Module(run) => {
            run.events.subscribe.as_ref().is_none_or(|all| all.iter().any(|pattern| pattern.matches(event_type)))
        }
        _ => true,
    }
}

fn may_ask_for(caller: &Caller, pattern: &EventPattern) -> bool {
    match caller {
        Caller::Module(run) => {
            run.events.subscribe.as_ref().is_none_or(|all| all.iter().any(|allowed| allowed.covers(pattern)))
        }
        _ => true,
    }
}

fn not_declared(what: &str, pattern: &str) -> ApiError {
    let detail = format!("`events.{what}` of manifest.json does not list {pattern}");
    ApiError::Forbidden { code: "event_not_declared", detail }
}
