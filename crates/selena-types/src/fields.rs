//! Reading the fields of a JSON object so that all problems are found at once.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::{Loc, Problems};

/// A JSON object being read; what is wrong is added to the caller's [`Problems`].
#[derive(Debug)]
pub struct Object<'a> {
    map: Option<&'a Map<String, Value>>,
    at: Vec<Loc>,
    problems: &'a mut Problems,
}

impl<'a> Object<'a> {
    /// Reads a request's body; a body that is no object is a problem itself.
    pub fn body(value: &'a Value, problems: &'a mut Problems) -> Self {
        Self::at(value, vec!["body".into()], problems)
    }

    /// Reads an object at a place.
    pub fn at(value: &'a Value, at: Vec<Loc>, problems: &'a mut Problems) -> Self {
        if !value.is_object() {
            problems.add(at.iter().cloned(), "object_type", "must be a JSON object");
        }
        Self { map: value.as_object(), at, problems }
    }

    /// The field's value, if it is there and not null.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&'a Value> {
        self.map.and_then(|map| map.get(field)).filter(|value| !value.is_null())
    }

    /// Adds a problem of a field.
    pub fn problem(&mut self, field: &str, code: &str, msg: impl Into<String>) {
        self.problems.add(self.at.iter().cloned().chain([field.into()]), code, msg);
    }

    fn required(&mut self, field: &str) -> Option<&'a Value> {
        let value = self.get(field);
        if value.is_none() && self.map.is_some() {
            self.problem(field, "missing", "field required");
        }
        value
    }

    fn checked<T>(&mut self, field: &str, code: &str, must: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.problem(field, code, must);
        }
        value
    }

    /// A required text of so many characters.
    pub fn text(&mut self, field: &str, chars: RangeInclusive<usize>) -> Option<String> {
        let value = self.required(field)?;
        let text = value.as_str().filter(|text| chars.contains(&text.chars().count())).map(str::to_owned);
        let must = format!("must be a text of {} to {} characters", chars.start(), chars.end());
        self.checked(field, "string_length", &must, text)
    }

    /// A required word of a closed list.
    pub fn word<T: Copy>(&mut self, field: &str, all: &[T], text: fn(T) -> &'static str) -> Option<T> {
        let value = self.required(field)?;
        let word = all.iter().copied().find(|word| value.as_str() == Some(text(*word)));
        let words: Vec<_> = all.iter().copied().map(text).collect();
        self.checked(field, "enum", &format!("must be one of {}", words.join(", ")), word)
    }

    /// A required text that a type's own constructor reads.
    pub fn parsed<T, E: std::fmt::Display>(
        &mut self,
        field: &str,
        code: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.required(field)?;
        let Some(text) = value.as_str() else {
            self.problem(field, "string_type", "must be a text");
            return None;
        };
        match parse(text) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.problem(field, code, error.to_string());
                None
            }
        }
    }

    /// A required object.
    pub fn map(&mut self, field: &str) -> Option<Map<String, Value>> {
        let value = self.required(field)?;
        self.checked(field, "object_type", "must be a JSON object", value.as_object().cloned())
    }

    /// An object, if the field is there.
    pub fn optional_map(&mut self, field: &str) -> Option<Map<String, Value>> {
        let value = self.get(field)?;
        self.checked(field, "object_type", "must be a JSON object", value.as_object().cloned())
    }

    /// A required list.
    pub fn list(&mut self, field: &str) -> Option<Vec<Value>> {
        let value = self.required(field)?;
        self.checked(field, "list_type", "must be a list", value.as_array().cloned())
    }

    /// A list, if the field is there.
    pub fn optional_list(&mut self, field: &str) -> Option<Vec<Value>> {
        let value = self.get(field)?;
        self.checked(field, "list_type", "must be a list", value.as_array().cloned())
    }
}
