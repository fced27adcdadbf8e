//! Where a value comes from, and what it must be.

use std::{
    collections::BTreeMap,
    fs, io,
    num::NonZeroU16,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use toml::{Table, Value};

use super::{
    LogLevel, ModulesSettings, SettingsError,
    modules::{fits_json, names},
};

/// The file and the environment above it. Keys are taken out of the file's table; what is left is unknown.
pub(super) struct Source<'a> {
    file: &'a Path,
    table: Table,
    env: &'a dyn Fn(&str) -> Option<String>,
    known: Vec<&'static str>,
}

/// A value, and where it stands: for errors.
struct Given {
    place: String,
    value: Value,
}

impl Given {
    fn refused(self, allowed: &'static str) -> SettingsError {
        SettingsError::Value { place: self.place, value: shown(&self.value), allowed }
    }
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a Path, table: Table, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { file, table, env, known: Vec::new() }
    }

    /// A port.
    pub(super) fn port(&mut self, key: &'static str, default: u16) -> Result<NonZeroU16, SettingsError> {
        const ALLOWED: &str = "a port from 1 to 65535";
        let given = self.take(key).unwrap_or(Given { place: key.to_owned(), value: Value::Integer(default.into()) });
        let number = match &given.value {
            Value::Integer(number) => u16::try_from(*number).ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.and_then(NonZeroU16::new).ok_or_else(|| given.refused(ALLOWED))
    }

    /// An absolute directory.
    pub(super) fn directory(&mut self, key: &'static str, default: &str) -> Result<PathBuf, SettingsError> {
        const ALLOWED: &str = "an absolute path";
        let Some(given) = self.take(key) else { return Ok(PathBuf::from(default)) };
        absolute(&given).ok_or_else(|| given.refused(ALLOWED))
    }

    /// An absolute file, if there is one.
    pub(super) fn file(&mut self, key: &'static str) -> Result<Option<PathBuf>, SettingsError> {
        const ALLOWED: &str = "an absolute path";
        let Some(given) = self.take(key) else { return Ok(None) };
        absolute(&given).map(Some).ok_or_else(|| given.refused(ALLOWED))
    }

    /// A word without spaces, if there is one.
    pub(super) fn word(&mut self, key: &'static str) -> Result<Option<String>, SettingsError> {
        const ALLOWED: &str = "a text of visible ASCII characters";
        let Some(given) = self.take(key) else { return Ok(None) };
        let word = given.value.as_str().filter(|word| word.bytes().all(|b| b.is_ascii_graphic())).map(str::to_owned);
        word.map(Some).ok_or_else(|| given.refused(ALLOWED))
    }

    /// A base URL, if there is one.
    pub(super) fn url(&mut self, key: &'static str) -> Result<Option<String>, SettingsError> {
        const ALLOWED: &str = "an https:// URL without user, query and fragment (http:// only to localhost)";
        let Some(given) = self.take(key) else { return Ok(None) };
        let url = given.value.as_str().filter(|url| is_base_url(url));
        let url = url.map(|url| url.trim_end_matches('/').to_owned());
        url.map(Some).ok_or_else(|| given.refused(ALLOWED))
    }

    /// Yes or no; no if it is not given.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, SettingsError> {
        let Some(given) = self.take(key) else { return Ok(false) };
        let flag = match &given.value {
            Value::Boolean(flag) => Some(*flag),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        flag.ok_or_else(|| given.refused("true or false"))
    }

    /// The log level.
    pub(super) fn log_level(&mut self, key: &'static str) -> Result<LogLevel, SettingsError> {
        let Some(given) = self.take(key) else { return Ok(LogLevel::default()) };
        LogLevel::new(given.value.as_str().unwrap_or_default()).map_err(|source| SettingsError::LogLevel {
            place: given.place,
            value: shown(&given.value),
            source,
        })
    }

    /// A secret: of the environment, else of systemd's credentials, else of the file. Its value is in no error.
    pub(super) fn secret(&mut self, key: &'static str) -> Result<Option<SecretString>, SettingsError> {
        const ALLOWED: &str = "a text of visible ASCII characters";
        let credential = self.credential(key)?;
        let (in_env, in_file) = self.both(key);
        let Some(given) = first([in_env, credential, in_file]) else { return Ok(None) };
        match given.value {
            Value::String(text) if text.bytes().all(|b| b.is_ascii_graphic()) => Ok(Some(text.into())),
            _ => Err(SettingsError::Value { place: given.place, value: "not shown here".to_owned(), allowed: ALLOWED }),
        }
    }

    /// A file of `$CREDENTIALS_DIRECTORY` (`systemd.exec(5)`), without the line break at its end.
    fn credential(&self, name: &str) -> Result<Option<Given>, SettingsError> {
        let Some(directory) = (self.env)("CREDENTIALS_DIRECTORY").filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let file = Path::new(&directory).join(name);
        match fs::read_to_string(&file) {
            Ok(text) => {
                let value = Value::String(text.trim_end_matches(['\r', '\n']).to_owned());
                Ok(Some(Given { place: file.display().to_string(), value }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SettingsError::Credential { file, source }),
        }
    }

    /// The table `[modules]`.
    pub(super) fn modules(&mut self) -> Result<ModulesSettings, SettingsError> {
        let mut table = self.table_of("modules")?;
        let enabled_modules = match table.remove("enabled_modules") {
            None => Vec::new(),
            Some(value) => names(&value)
                .ok_or_else(|| self.given("modules.enabled_modules", value).refused("a list of module names"))?,
        };
        let mut config = BTreeMap::new();
        for (name, value) in self.module_tables(&mut table)? {
            let place = format!("modules.config.{name}");
            match value {
                Value::Table(settings) if settings.values().all(fits_json) => _ = config.insert(name, settings),
                other => return Err(self.given(&place, other).refused("a table without dates and infinite numbers")),
            }
        }
        self.empty("modules.", &table, ModulesSettings::KEYS)?;
        Ok(ModulesSettings { enabled_modules, config })
    }

    fn module_tables(&self, modules: &mut Table) -> Result<Table, SettingsError> {
        match modules.remove("config") {
            None => Ok(Table::new()),
            Some(Value::Table(table)) => Ok(table),
            Some(other) => Err(self.given("modules.config", other).refused("a table")),
        }
    }

    fn table_of(&mut self, key: &'static str) -> Result<Table, SettingsError> {
        self.known.push(key);
        match self.table.remove(key) {
            None => Ok(Table::new()),
            Some(Value::Table(table)) => Ok(table),
            Some(other) => Err(self.given(key, other).refused("a table")),
        }
    }

    /// A key that is accepted and means nothing.
    pub(super) fn ignore(&mut self, key: &'static str) {
        self.known.push(key);
        self.table.remove(key);
    }

    /// Refuses what nobody asked for.
    pub(super) fn finish(self) -> Result<(), SettingsError> {
        self.empty("", &self.table, &self.known.join(", "))
    }

    fn empty(&self, within: &str, table: &Table, known: &str) -> Result<(), SettingsError> {
        let Some(key) = table.keys().next() else { return Ok(()) };
        let (key, known) = (format!("{within}{}", key.escape_debug()), known.to_owned());
        Err(SettingsError::UnknownKey { file: self.file.to_owned(), key, known })
    }

    /// The value of the environment, else that of the file.
    fn take(&mut self, key: &'static str) -> Option<Given> {
        let (in_env, in_file) = self.both(key);
        first([in_env, in_file])
    }

    /// The values of the environment and of the file.
    fn both(&mut self, key: &'static str) -> (Option<Given>, Option<Given>) {
        self.known.push(key);
        let in_file = self.table.remove(key).map(|value| self.given(key, value));
        let name = key.to_ascii_uppercase();
        let in_env = (self.env)(&name).map(|text| Given { place: name, value: Value::String(text) });
        (in_env, in_file)
    }

    fn given(&self, key: &str, value: Value) -> Given {
        Given { place: format!("{}: `{}`", self.file.display(), key.escape_debug()), value }
    }
}

fn absolute(given: &Given) -> Option<PathBuf> {
    given.value.as_str().filter(|path| path.starts_with('/') && is_clean(path)).map(PathBuf::from)
}

/// The first that is given; an empty text is as good as none.
fn first(given: impl IntoIterator<Item = Option<Given>>) -> Option<Given> {
    given.into_iter().flatten().find(|given| given.value.as_str() != Some(""))
}

/// A value in an error: on one line, and not endless.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("{text:?}"),
        Value::Table(_) => "a table".to_owned(),
        other => other.to_string().escape_debug().to_string(),
    };
    if text.chars().count() <= 80 { text } else { text.chars().take(80).chain(['…']).collect() }
}

fn is_clean(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER)
}

fn is_base_url(url: &str) -> bool {
    let bare = url.bytes().all(|b| b.is_ascii_graphic()) && !url.contains(['@', '?', '#', '\\']);
    let host = |rest: &str| rest.split(['/', ':']).next().map(str::to_owned).unwrap_or_default();
    match url.split_once("://") {
        Some(("https", rest)) => bare && !host(rest).is_empty(),
        Some(("http", rest)) => {
            bare && (["localhost", "127.0.0.1"].contains(&host(rest).as_str()) || is_v6_loopback(rest))
        }
        _ => false,
    }
}

fn is_v6_loopback(rest: &str) -> bool {
    rest.strip_prefix("[::1]").is_some_and(|after| after.is_empty() || after.starts_with([':', '/']))
}
