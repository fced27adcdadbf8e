//! Events as subscribers and history see them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::EventType;

/// An event that is durable (protocol, section 6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The event's id, a UUID.
    pub id: Uuid,
    /// The same id, under the name that older modules read.
    pub event_id: Uuid,
    /// Place in the hub's one order of events, from 1, without reuse.
    pub seq: i64,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// Name of the module that published it, or `core`.
    pub source: String,
    /// When the core took it, UTC.
    pub timestamp: Timestamp,
    /// What the publisher says about it.
    pub payload: serde_json::Value,
}
