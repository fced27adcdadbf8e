//! Reading the fields of a manifest: every problem goes to one [`Report`], with its place and code.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde_json::{Map, Value};

use crate::{Loc, Problem, Problems};

/// Something is missing, of the wrong type, or against a rule without a code of its own.
pub(super) const INVALID: &str = "manifest_invalid";
/// A number out of its range.
pub(super) const RANGE: &str = "manifest_range";
/// No semantic version.
pub(super) const VERSION: &str = "manifest_version";
/// A permission that is unknown, not the type's, or missing.
pub(super) const PERMISSION: &str = "manifest_permission";
/// A host that is no exact public name or address.
pub(super) const HOST: &str = "manifest_host";

/// Told, not refused.
const WARNING: &str = "manifest_warning";

/// Most problems, and most warnings, that are told; a manifest of 64 KiB could have thousands.
const MOST: usize = 200;

/// What was found in a manifest so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What refuses it.
    pub(super) problems: Problems,
    /// What is only told.
    pub(super) warnings: Problems,
}

impl Report {
    /// The warnings if nothing refuses the manifest, else all problems.
    pub(super) fn finish(mut self) -> Result<Vec<Problem>, Problems> {
        shorten(&mut self.problems, INVALID);
        shorten(&mut self.warnings, WARNING);
        if self.problems.is_empty() { Ok(self.warnings.0) } else { Err(self.problems) }
    }
}

fn shorten(problems: &mut Problems, code: &str) {
    let more = problems.0.len().saturating_sub(MOST);
    if more > 0 {
        problems.0.truncate(MOST);
        problems.add([], code, format!("and {more} more like these"));
    }
}

/// What a field does that no rule knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It is told (older packages have such fields).
    Warn,
    /// It refuses the manifest, because it could be meant to loosen the sandbox.
    Refuse,
}

/// An object of the manifest being read; a field that is `null` counts as absent.
#[derive(Debug)]
pub(super) struct Fields<'a, 'r> {
    map: &'a Map<String, Value>,
    at: Vec<Loc>,
    report: &'r mut Report,
}

impl<'a, 'r> Fields<'a, 'r> {
    /// The object at a place; `None`, and a problem, if the value is no object.
    pub(super) fn at(value: &'a Value, at: Vec<Loc>, report: &'r mut Report) -> Option<Self> {
        if let Value::Object(map) = value {
            return Some(Self { map, at, report });
        }
        report.problems.add(at, INVALID, "must be a JSON object");
        None
    }

    /// The place of a field.
    pub(super) fn loc(&self, field: &str) -> Vec<Loc> {
        self.at.iter().cloned().chain([field.into()]).collect()
    }

    /// Adds a problem of a field.
    pub(super) fn problem(&mut self, field: &str, code: &str, msg: impl Into<String>) {
        let loc = self.loc(field);
        self.report.problems.add(loc, code, msg);
    }

    /// Adds a problem of a list's item.
    pub(super) fn item_problem(&mut self, field: &str, index: usize, code: &str, msg: impl Into<String>) {
        let loc = self.loc(field).into_iter().chain([index.into()]);
        self.report.problems.add(loc, code, msg);
    }

    /// Adds a warning of a field.
    pub(super) fn warn(&mut self, field: &str, msg: impl Into<String>) {
        let loc = self.loc(field);
        self.report.warnings.add(loc, WARNING, msg);
    }

    /// The names of the fields, in the manifest's order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a String> + use<'a> {
        self.map.keys()
    }

    /// Tells or refuses each field that is not in the list.
    pub(super) fn unknown(&mut self, known: &[&str], unknown: Unknown) {
        for field in self.map.keys().filter(|field| !known.contains(&field.as_str())) {
            match unknown {
                Unknown::Warn => self.warn(field, "unknown field; it has no effect"),
                Unknown::Refuse => self.problem(field, INVALID, format!("unknown field; known: {}", known.join(", "))),
            }
        }
    }

    /// The field's value, if it is there and not null.
    pub(super) fn get(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// The field's value; a problem if it is not there.
    pub(super) fn required(&mut self, field: &str) -> Option<&'a Value> {
        let value = self.get(field);
        if value.is_none() {
            self.problem(field, INVALID, "field required");
        }
        value
    }

    /// A text.
    pub(super) fn text(&mut self, field: &str) -> Option<String> {
        self.parsed(field, INVALID, |text| Ok::<_, fmt::Error>(text.to_owned()))
    }

    /// A text that a rule reads; both no text and a bad one have the given code.
    pub(super) fn parsed<T, E: fmt::Display>(
        &mut self,
        field: &str,
        code: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Some(text) = self.get(field)?.as_str() else {
            self.problem(field, code, "must be a text");
            return None;
        };
        parse(text).map_err(|error| self.problem(field, code, error.to_string())).ok()
    }

    /// One of a closed list of words.
    pub(super) fn word<T: FromStr + fmt::Display>(&mut self, field: &str, all: &[T]) -> Option<T> {
        let words = || all.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
        self.parsed(field, INVALID, |text| text.parse().map_err(|_| format!("must be one of {}", words())))
    }

    /// A whole number of a range. A number out of it, or with a fraction, is `manifest_range`.
    pub(super) fn integer(&mut self, field: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.get(field)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        let code = if value.is_number() { RANGE } else { INVALID };
        self.problem(field, code, format!("must be a whole number from {} to {}", range.start(), range.end()));
        None
    }

    /// A number of a range.
    pub(super) fn number(&mut self, field: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.get(field)?;
        if let Some(number) = value.as_f64().filter(|number| range.contains(number)) {
            return Some(number);
        }
        let code = if value.is_number() { RANGE } else { INVALID };
        self.problem(field, code, format!("must be a number from {} to {}", range.start(), range.end()));
        None
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, field: &str) -> Option<bool> {
        let value = self.get(field)?.as_bool();
        if value.is_none() {
            self.problem(field, INVALID, "must be true or false");
        }
        value
    }

    /// A list.
    pub(super) fn list(&mut self, field: &str, code: &str) -> Option<&'a [Value]> {
        let list = self.get(field)?.as_array();
        if list.is_none() {
            self.problem(field, code, "must be a list");
        }
        list.map(Vec::as_slice)
    }

    /// A list of texts that a rule reads; what is no text or bad is a problem of its index.
    pub(super) fn parsed_list<T, E: fmt::Display>(
        &mut self,
        field: &str,
        code: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = self.list(field, code)?.iter().enumerate();
        Some(items.filter_map(|(index, item)| self.parsed_item(field, index, item, code, &parse)).collect())
    }

    fn parsed_item<T, E: fmt::Display>(
        &mut self,
        field: &str,
        index: usize,
        item: &Value,
        code: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let parsed = match item.as_str() {
            Some(text) => parse(text).map_err(|error| error.to_string()),
            None => Err("must be a text".to_owned()),
        };
        parsed.map_err(|msg| self.item_problem(field, index, code, msg)).ok()
    }

    /// The object in a field.
    pub(super) fn object(&mut self, field: &str) -> Option<Fields<'a, '_>> {
        let (value, at) = (self.get(field)?, self.loc(field));
        Fields::at(value, at, self.report)
    }

    /// The object in a list's item.
    pub(super) fn item(&mut self, field: &str, index: usize, item: &'a Value) -> Option<Fields<'a, '_>> {
        let at = self.loc(field).into_iter().chain([index.into()]).collect();
        Fields::at(item, at, self.report)
    }
}
