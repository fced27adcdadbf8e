//! The table `[modules]`.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// Which modules may run, and settings they start with (protocol, section 12).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModulesSettings {
    /// `enabled_modules`: names of the modules that may run; empty = all.
    pub enabled_modules: Vec<String>,
    /// `[modules.config.<name>]`: settings by module; they hold only what JSON can hold too.
    pub config: BTreeMap<String, Table>,
}

impl ModulesSettings {
    /// The keys of the table.
    pub(super) const KEYS: &str = "enabled_modules, config";

    /// Whether this module may run.
    #[must_use]
    pub fn enabled(&self, name: &str) -> bool {
        self.enabled_modules.is_empty() || self.enabled_modules.iter().any(|enabled| enabled == name)
    }
}

/// A list of names, none of them empty.
pub(super) fn names(value: &Value) -> Option<Vec<String>> {
    let name = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    value.as_array()?.iter().map(name).collect()
}

/// Whether JSON can hold the value: no dates, no infinite numbers.
pub(super) fn fits_json(value: &Value) -> bool {
    match value {
        Value::Datetime(_) => false,
        Value::Float(number) => number.is_finite(),
        Value::Array(values) => values.iter().all(fits_json),
        Value::Table(table) => table.values().all(fits_json),
        Value::String(_) | Value::Integer(_) | Value::Boolean(_) => true,
    }
}
