//! JSON from strangers: depth and duplicate keys are checked, which `serde_json` alone does not.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting of arrays and objects the hub reads (protocol, section 5).
pub const MAX_DEPTH: usize = 32;

/// Most values of one text: each takes many times its own length in memory once it is read.
pub const MAX_VALUES: usize = 65_536;

/// Why a text was not read as JSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Arrays and objects are nested too deep.
    #[error("JSON is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// It has too many values.
    #[error("JSON has more than {MAX_VALUES} values")]
    TooMany,
    /// It is not JSON, or an object names a key twice.
    #[error("not valid JSON: {0}")]
    Invalid(String),
}

/// Reads JSON of at most [`MAX_DEPTH`] levels; a key given twice takes the last value, as in every request.
///
/// # Errors
/// [`JsonError`] if it is too deep or no JSON.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    check_size(text)?;
    serde_json::from_slice(text).map_err(|error| JsonError::Invalid(error.to_string()))
}

/// Reads JSON of at most [`MAX_DEPTH`] levels in which no object names a key twice.
///
/// # Errors
/// [`JsonError`] if it is too deep, no JSON, or ambiguous.
pub fn parse_unambiguous(text: &[u8]) -> Result<Value, JsonError> {
    check_size(text)?;
    let strict: Strict = serde_json::from_slice(text).map_err(|error| JsonError::Invalid(error.to_string()))?;
    Ok(strict.0)
}

fn check_size(text: &[u8]) -> Result<(), JsonError> {
    let (mut depth, mut values, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                values += 1;
            }
            b',' if !in_string => values += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        if values > MAX_VALUES {
            return Err(JsonError::TooMany);
        }
    }
    Ok(())
}

/// A JSON value whose objects have no key twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if map.contains_key(&key) {
                return Err(serde::de::Error::custom(format_args!("key {key:?} stands twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e02_depth_counts_only_outside_strings() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(32).as_bytes()).is_ok());
        assert!(matches!(parse(nested(33).as_bytes()), Err(JsonError::TooDeep)));
        assert!(matches!(parse("[".repeat(10_000).as_bytes()), Err(JsonError::TooDeep)));
        assert!(parse(format!("[\"{}\\\"{}\"]", "[".repeat(50), "{".repeat(50)).as_bytes()).is_ok());
    }

    #[test]
    fn e02_a_million_small_values_are_refused_before_they_are_read() {
        let list = |values: usize| format!("[{}0]", "0,".repeat(values - 1));
        assert!(parse(list(60_000).as_bytes()).is_ok());
        assert!(matches!(parse(list(70_000).as_bytes()), Err(JsonError::TooMany)));
    }

    #[test]
    fn e02_what_is_no_json_is_refused() {
        for bad in ["NaN", "[1,]", r#"{"a":Infinity}"#, r#""\ud800""#, "1e400", "", "{'a':1}", "\u{feff}{}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
            assert!(parse_unambiguous(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn m01_a_key_that_stands_twice_is_refused() {
        assert!(parse_unambiguous(br#"{"a":1,"b":{"c":1}}"#).is_ok());
        for bad in [r#"{"a":1,"a":2}"#, r#"[{"b":{"c":1,"c":1}}]"#] {
            assert!(parse_unambiguous(bad.as_bytes()).is_err(), "{bad}");
            assert!(parse(bad.as_bytes()).is_ok());
        }
    }
}
