//! JSON values as people read them.

use jiff::{Timestamp, Unit};
use serde_json::{Map, Value};

use crate::table::Table;

/// Keys that hold times without saying so by `_at` at their end.
const TIMES: [&str; 6] = ["timestamp", "last_seen", "last_check", "build_time", "safe_mode_since", "time"];

/// A value on one line: a text as it is, nothing for null, other values as JSON.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A time as `2026-01-31 12:00:00 UTC`, from Unix seconds or ISO 8601; what is neither stays as it is.
pub(crate) fn time(value: &Value) -> String {
    let parsed = match value {
        Value::Number(seconds) => seconds.as_f64().and_then(unix_time),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    parsed.map_or_else(|| plain(value), |time: Timestamp| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// A number of bytes in the unit that reads best.
pub(crate) fn size(bytes: u64) -> String {
    let in_unit = |shift: u32| format!("{}.{}", bytes >> shift, ((bytes % (1 << shift)) * 10) >> shift);
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", in_unit(10)),
        _ => format!("{} MiB", in_unit(20)),
    }
}

fn unix_time(seconds: f64) -> Option<Timestamp> {
    let time = Timestamp::UNIX_EPOCH.checked_add(jiff::SignedDuration::try_from_secs_f64(seconds).ok()?).ok()?;
    time.round(Unit::Millisecond).ok()
}

/// All of an object, one line for each value, those of inner objects under `outer.inner`.
pub(crate) fn details(object: &Value) -> Table {
    let mut table = Table::plain();
    if let Some(map) = object.as_object() {
        add(&mut table, "", map);
    }
    table
}

fn add(table: &mut Table, within: &str, map: &Map<String, Value>) {
    for (key, value) in map {
        let name = format!("{within}{key}");
        match value {
            Value::Object(inner) if !inner.is_empty() => add(table, &format!("{name}."), inner),
            Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
                table.row([&name, &items.iter().map(plain).collect::<Vec<_>>().join(", ")]);
            }
            value if key.ends_with("_at") || TIMES.contains(&key.as_str()) => table.row([&name, &time(value)]),
            value => table.row([&name, &plain(value)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_of_every_form_read_the_same() {
        for value in [json!("2026-01-31T12:00:00Z"), json!("2026-01-31T12:00:00.123456Z"), json!(1_769_860_800.25)] {
            assert_eq!(time(&value), "2026-01-31 12:00:00 UTC", "{value}");
        }
        for odd in [json!("soon"), json!(1e300), json!(null)] {
            assert_eq!(time(&odd), plain(&odd));
        }
    }

    #[test]
    fn sizes_have_the_unit_that_reads_best() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (0x10_0000, "1.0 MiB")] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn details_show_every_value_with_its_path() {
        let value = json!({"name": "lamp", "ui": {"icon": "a.svg", "widget": {}}, "permissions": ["a", "b"],
            "started_at": 0, "error": null, "odd": [{"x": 1}]});
        assert_eq!(
            details(&value).lines(),
            [
                "name         lamp",
                "ui.icon      a.svg",
                "ui.widget    {}",
                "permissions  a, b",
                "started_at   1970-01-01 00:00:00 UTC",
                "error        -",
                "odd          [{\"x\":1}]",
            ]
        );
    }
}
