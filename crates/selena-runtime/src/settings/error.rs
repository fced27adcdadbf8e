//! What can be wrong with settings.

use std::{
    io,
    num::NonZeroU16,
    path::{Path, PathBuf},
};

use super::level::LogLevelError;

/// Why settings were refused. Values are shown, a secret never is.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("cannot read the settings file {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A systemd credential could not be read.
    #[error("cannot read the systemd credential {}", file.display())]
    Credential {
        /// The credential's file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{}:{line}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// The file has a key that does not exist.
    #[error("{}: unknown key `{key}`; the keys are {known}", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The key, with the table it stands in.
        key: String,
        /// Those that exist there.
        known: String,
    },
    /// A value is not allowed.
    #[error("{place} is {value}; it must be {allowed}")]
    Value {
        /// The file and the key, or the variable.
        place: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// The log level is none.
    #[error("{place} is {value}, which is no log level")]
    LogLevel {
        /// The file and the key, or the variable.
        place: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        source: LogLevelError,
    },
    /// Both ports are the same.
    #[error("core_port and ui_port are both {0}; they must differ")]
    SamePort(NonZeroU16),
}

impl SettingsError {
    /// The parser's own text quotes the line, and the line may hold a secret: only the place and the message are kept.
    pub(super) fn syntax(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        Self::Syntax { file: file.to_owned(), line, message: error.message().to_owned() }
    }
}
