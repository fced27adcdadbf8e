//! What is logged.

use std::str::FromStr;

/// A log level such as `info`, or several with targets such as `warn,selena_core=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel(String);

/// Why a text is no log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a log level is one of off, error, warn, info, debug, trace, or a list such as `warn,selena_core=debug`")]
pub struct LogLevelError;

impl LogLevel {
    /// Parses a level or a list of them, in any case; `warning` and `critical` are taken for `warn` and `error`.
    ///
    /// The filter behind it would take any other word, such as a mistyped level, for a target to trace.
    ///
    /// # Errors
    /// [`LogLevelError`].
    pub fn new(text: &str) -> Result<Self, LogLevelError> {
        let directives: Option<Vec<_>> = text.split(',').map(|part| directive(part.trim())).collect();
        directives.map(|directives| Self(directives.join(","))).ok_or(LogLevelError)
    }

    /// The level in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogLevel {
    type Err = LogLevelError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

fn directive(part: &str) -> Option<String> {
    let Some((target, level)) = part.split_once('=') else { return level(part).map(str::to_owned) };
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    (!target.is_empty() && target.chars().all(good)).then_some(())?;
    Some(format!("{target}={}", self::level(level)?))
}

fn level(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "off" => "off",
        "error" | "critical" => "error",
        "warn" | "warning" => "warn",
        "info" => "info",
        "debug" => "debug",
        "trace" => "trace",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_lists_are_taken_in_any_case() {
        for (text, normal) in [
            ("info", "info"),
            ("WARNING", "warn"),
            ("Off", "off"),
            ("warn,selena_core=DEBUG", "warn,selena_core=debug"),
            ("hyper=error , info", "hyper=error,info"),
            ("selena_core::modules=trace", "selena_core::modules=trace"),
        ] {
            assert_eq!(LogLevel::new(text).as_ref().map(LogLevel::as_str), Ok(normal), "{text}");
        }
    }

    #[test]
    fn a_mistyped_level_is_no_target() {
        for bad in ["", "loud", "inof", "info,", "=info", "selena_core=", "selena_core=loud", "a[b]=info", "3"] {
            assert_eq!(LogLevel::new(bad), Err(LogLevelError), "{bad:?}");
        }
    }
}
