//! Series Z of the faults as data, with cases beyond it.

mod entries;
mod framing;

pub use framing::{bomb, quoted_overlap, zip_of_entries};

/// An archive, and what the hub has to say to it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The fault it belongs to, such as `z03`.
    pub id: &'static str,
    /// What is wrong with it, or odd.
    pub what: String,
    /// Its bytes.
    pub archive: Vec<u8>,
    /// The code it is refused with; `None` if it is taken.
    pub code: Option<&'static str>,
}

impl Case {
    fn refused(id: &'static str, what: impl Into<String>, archive: Vec<u8>, code: &'static str) -> Self {
        Self { id, what: what.into(), archive, code: Some(code) }
    }

    fn taken(id: &'static str, what: impl Into<String>, archive: Vec<u8>) -> Self {
        Self { id, what: what.into(), archive, code: None }
    }
}

/// All archives; the largest have some 5 MB. The same bytes at every call.
#[must_use]
pub fn series() -> Vec<Case> {
    let mut cases = framing::cases();
    cases.extend(entries::cases());
    cases
}
