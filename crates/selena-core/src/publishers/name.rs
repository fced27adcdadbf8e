//! What people call a publisher.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Name of a publisher as a person of this hub gave it: 1 to 64 letters and digits of any script, and some marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublisherName(String);

/// A text that is no publisher's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a publisher's name is 1 to 64 letters, digits, blanks and any of . , - _ & + ' ( ) @ / and no blank at an end"
)]
pub struct PublisherNameError;

impl PublisherName {
    const MAX_CHARS: usize = 64;
    const MARKS: &str = " .,-_&+'()@/";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublisherName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PublisherName {
    type Err = PublisherNameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Nothing that is not seen, or that turns the text around it, can make one name look like another.
        let good = |c: char| c.is_alphanumeric() || Self::MARKS.contains(c);
        let length = (1..=Self::MAX_CHARS).contains(&text.chars().count());
        let fits = length && text.chars().all(good) && text.trim() == text;
        if fits { Ok(Self(text.to_owned())) } else { Err(PublisherNameError) }
    }
}

impl TryFrom<String> for PublisherName {
    type Error = PublisherNameError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PublisherName> for String {
    fn from(name: PublisherName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_people_can_read() {
        for good in ["Lamps & Co.", "Лампы", "灯", "a", &"x".repeat(64)] {
            assert_eq!(good.parse::<PublisherName>().as_ref().map(PublisherName::as_str), Ok(good));
        }
        for bad in ["", " a", "a ", "a\n", "a\u{202e}b", "a\u{200b}b", "a\u{1b}[2J", "a\0", &"x".repeat(65)] {
            assert_eq!(bad.parse::<PublisherName>(), Err(PublisherNameError), "{bad:?}");
        }
    }
}
