//! Types of events and patterns over them (protocol, section 6).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Most characters of an event type.
const MAX_CHARS: usize = 128;

/// Type of an event, such as `device.state_changed`: 1 to 128 printable ASCII characters, no space, no `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventType(String);

/// Why a text is no event type or pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventTypeError {
    /// Empty, too long, or with a space, a control or a non-ASCII character.
    #[error("an event type is 1 to 128 printable ASCII characters without spaces and '*'")]
    Malformed,
    /// A star that is not `*` alone or the end of `prefix.*`.
    #[error("a pattern is an exact event type, `prefix.*` or `*`")]
    Star,
}

impl EventType {
    /// Parses an event type.
    ///
    /// # Errors
    /// [`EventTypeError::Malformed`] for anything but 1 to 128 printable ASCII characters without space and `*`.
    pub fn new(text: &str) -> Result<Self, EventTypeError> {
        let printable = text.bytes().all(|b| b.is_ascii_graphic() && b != b'*');
        if printable && (1..=MAX_CHARS).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(EventTypeError::Malformed)
        }
    }

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether only the hub's own parts see it: `core.*` and `sync.*`.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.is_core() || self.0.starts_with("sync.")
    }

    /// Whether it begins with `core.`.
    #[must_use]
    pub fn is_core(&self) -> bool {
        self.0.starts_with("core.")
    }

    /// Whether only the hub and `SYSTEM` modules publish it, `core.*` apart.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        const DEVICE: [&str; 5] = ["registered", "removed", "state_changed", "offline", "online"];
        self.0.starts_with("module.")
            || self.0.starts_with("sync.")
            || self.0.strip_prefix("device.").is_some_and(|rest| DEVICE.contains(&rest))
    }
}

/// What a subscription asks for: an exact type, `prefix.*` (the dot counts), or `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum EventPattern {
    /// `*`.
    Any,
    /// `prefix.*`; holds the prefix with its dot.
    Below(String),
    /// One type.
    Exact(EventType),
}

impl EventPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`EventTypeError`] if it is none of the three forms.
    pub fn new(text: &str) -> Result<Self, EventTypeError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(prefix) = text.strip_suffix('*') {
            let name = prefix.strip_suffix('.').ok_or(EventTypeError::Star)?;
            EventType::new(name).map_err(|_| EventTypeError::Star)?;
            return Ok(Self::Below(prefix.to_owned()));
        }
        if text.contains('*') { Err(EventTypeError::Star) } else { EventType::new(text).map(Self::Exact) }
    }

    /// Whether an event of this type is asked for.
    #[must_use]
    pub fn matches(&self, event_type: &EventType) -> bool {
        match self {
            Self::Any => true,
            Self::Below(prefix) => event_type.0.starts_with(prefix.as_str()),
            Self::Exact(exact) => exact == event_type,
        }
    }

    /// Whether every type that `other` matches is matched by this pattern too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) => false,
            (_, Self::Exact(exact)) => self.matches(exact),
            (Self::Below(mine), Self::Below(theirs)) => theirs.starts_with(mine.as_str()),
            (Self::Exact(_), Self::Below(_)) => false,
        }
    }

    /// Whether it names `core.*` or `sync.*` types, which only the hub's own parts may.
    #[must_use]
    pub fn names_internal(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Below(prefix) => prefix.starts_with("core.") || prefix.starts_with("sync."),
            Self::Exact(exact) => exact.is_internal(),
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EventType {
    type Err = EventTypeError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for EventType {
    type Error = EventTypeError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<EventType> for String {
    fn from(event_type: EventType) -> Self {
        event_type.0
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(prefix) => write!(f, "{prefix}*"),
            Self::Exact(exact) => exact.fmt(f),
        }
    }
}

impl TryFrom<String> for EventPattern {
    type Error = EventTypeError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<EventPattern> for String {
    fn from(pattern: EventPattern) -> Self {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> EventType {
        EventType::new(text).expect("a good type")
    }

    fn pattern(text: &str) -> EventPattern {
        EventPattern::new(text).expect("a good pattern")
    }

    #[test]
    fn the_dot_of_a_prefix_counts() {
        assert!(pattern("device.*").matches(&event("device.y")));
        assert!(pattern("device.*").matches(&event("device.y.z")));
        for other in ["devicex.y", "device", "xdevice.y"] {
            assert!(!pattern("device.*").matches(&event(other)), "{other}");
        }
        assert!(pattern("*").matches(&event("anything")));
        assert!(pattern("a.b").matches(&event("a.b")) && !pattern("a.b").matches(&event("a.b.c")));
    }

    #[test]
    fn stars_elsewhere_are_refused() {
        for bad in ["", "**", "*.x", "a*", "a.*.b", ".*", "a.**", "a b", "a\n", "ä"] {
            assert!(EventPattern::new(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "*", "a.*", "a b", &"x".repeat(129)] {
            assert!(EventType::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn covering_is_about_all_types() {
        for (wide, narrow, covered) in [
            ("*", "core.*", true),
            ("a.*", "a.b", true),
            ("a.*", "a.b.*", true),
            ("a.b.*", "a.*", false),
            ("a.b", "a.*", false),
            ("a.*", "*", false),
            ("a.*", "ab.c", false),
        ] {
            assert_eq!(pattern(wide).covers(&pattern(narrow)), covered, "{wide} over {narrow}");
        }
    }

    #[test]
    fn e03_reserved_and_internal_types_are_known() {
        for reserved in ["device.registered", "device.online", "module.x", "module.started", "sync.x"] {
            assert!(event(reserved).is_reserved(), "{reserved}");
        }
        for free in ["device.discovered", "device.mine", "modulex.y", "my.event", "device.state_changed.mine"] {
            assert!(!event(free).is_reserved(), "{free}");
        }
        assert!(pattern("core.*").names_internal() && pattern("sync.command_received").names_internal());
        assert!(
            pattern("core.a.*").names_internal()
                && !pattern("*").names_internal()
                && !pattern("corex.*").names_internal()
        );
    }
}
