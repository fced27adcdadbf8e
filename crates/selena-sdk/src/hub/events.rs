//! Events (protocol, section 6).

use hyper::Method;
use jiff::Timestamp;
use selena_types::{Event, EventType};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Hub, HubError, call::Call};

/// An event the hub has taken: it is durable.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Published {
    /// Its id.
    pub event_id: Uuid,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// When the hub took it.
    pub timestamp: Timestamp,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Subscription {
    /// Its id.
    pub subscription_id: Uuid,
    /// What it asks for.
    pub event_types: Vec<String>,
    /// Where its events go.
    pub webhook_url: String,
}

impl Hub {
    /// `POST /events/publish`. Made again only if the hub cannot have taken it.
    ///
    /// # Errors
    /// 403 `event_reserved` or `event_not_declared`.
    pub async fn publish(&self, event_type: &str, payload: Value) -> Result<Published, HubError> {
        let body = json!({ "event_type": event_type, "payload": payload });
        self.ask(Call::new(Method::POST, "/events/publish").body(&body)).await
    }

    /// `POST /events/subscribe` for a path of the module's own port; the same path replaces.
    /// [`Module::on_event`](crate::Module::on_event) does it by itself.
    ///
    /// # Errors
    /// 403 `event_reserved` or `event_not_declared`, 409 `limit_subscriptions`.
    pub async fn subscribe(&self, patterns: &[impl AsRef<str>], path: &str) -> Result<Subscription, HubError> {
        let patterns: Vec<_> = patterns.iter().map(AsRef::as_ref).collect();
        let webhook_url = format!("http://localhost:{}{path}", self.0.port);
        let body = json!({ "event_types": patterns, "webhook_url": webhook_url });
        self.ask(Call::new(Method::POST, "/events/subscribe").body(&body).idempotent()).await
    }

    /// `DELETE /events/subscriptions/{id}`.
    ///
    /// # Errors
    /// 404.
    pub async fn unsubscribe(&self, id: Uuid) -> Result<(), HubError> {
        self.tell(Call::new(Method::DELETE, format!("/events/subscriptions/{id}"))).await
    }

    /// `GET /events`: what happened after `since_seq`, at most `limit` events, with the number to go on from.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn events(&self, since_seq: i64, limit: usize) -> Result<(Vec<Event>, i64), HubError> {
        #[derive(Deserialize)]
        struct Answer {
            events: Vec<Event>,
            next_since_seq: i64,
        }
        let path = format!("/events?since_seq={since_seq}&limit={limit}");
        let answer = self.ask::<Answer>(Call::new(Method::GET, path)).await?;
        Ok((answer.events, answer.next_since_seq))
    }
}
