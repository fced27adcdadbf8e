//! What is wrong with an input: every problem, each with its place.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One step of the way to a value: a field's name or a list's index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Loc {
    /// Index of a list, from 0.
    Index(usize),
    /// Name of a field.
    Field(String),
}

impl From<&str> for Loc {
    fn from(field: &str) -> Self {
        Self::Field(field.to_owned())
    }
}

impl From<usize> for Loc {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// One problem of an input: `{loc, msg, type}` (protocol, section 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where it is.
    pub loc: Vec<Loc>,
    /// What is wrong and what would be right, for people.
    pub msg: String,
    /// The machine's word for it.
    #[serde(rename = "type")]
    pub code: String,
}

/// All problems of an input, in the order they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// A list of one.
    pub fn one(loc: impl IntoIterator<Item = Loc>, code: &str, msg: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.add(loc, code, msg);
        problems
    }

    /// Adds a problem.
    pub fn add(&mut self, loc: impl IntoIterator<Item = Loc>, code: &str, msg: impl Into<String>) {
        self.0.push(Problem { loc: loc.into_iter().collect(), msg: msg.into(), code: code.to_owned() });
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.loc.iter().enumerate() {
            match step {
                Loc::Index(index) => write!(f, "[{index}]")?,
                Loc::Field(field) if depth == 0 => f.write_str(field)?,
                Loc::Field(field) => write!(f, ".{field}")?,
            }
        }
        if !self.loc.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.msg)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}
