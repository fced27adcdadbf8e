//! Records of what was refused and what was changed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One record of the audit log (protocol, section 10.7): never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When it first happened, UTC.
    pub timestamp: Timestamp,
    /// What happened, as one word: `token_wrong_namespace`, `permission_denied`, …
    pub event: String,
    /// The module it is about, or `core`, or the person.
    pub subject: String,
    /// What was refused or changed, for people.
    pub detail: String,
    /// How often it happened within its minute.
    pub count: i64,
}
