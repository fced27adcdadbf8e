//! What the hub tells a module at its start (protocol, section 2, "Environment of a module").

use std::{env, path::PathBuf};

use selena_types::Secret;

use crate::{core_url::CoreUrl, signature::WebhookSecret};

/// Why the environment is not one of a module. It never repeats a value that could be secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvironmentError {
    /// A variable is not there, or empty.
    #[error("{0} is not set: the hub sets it for its modules, `selenactl module dev` for one that runs beside it")]
    Missing(&'static str),
    /// A variable holds what cannot be.
    #[error("{name} {must}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What it must be.
        must: &'static str,
    },
}

/// The environment of a module, checked.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) core: CoreUrl,
    pub(crate) token: Secret,
    /// `None` beside a development hub that signs nothing (protocol, section 12).
    pub(crate) webhook_secret: Option<WebhookSecret>,
    pub(crate) install_path: PathBuf,
}

impl Environment {
    /// Of this process.
    pub(crate) fn of_process() -> Result<Self, EnvironmentError> {
        Self::read(|name| env::var(name).ok())
    }

    /// From anything that knows variables; an empty one counts as absent.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let optional = |name| variable(name).filter(|text| !text.is_empty());
        let required = |name| optional(name).ok_or(EnvironmentError::Missing(name));
        // The second names are those of older hubs (protocol, section 11).
        let either = |name, older| optional(name).or_else(|| optional(older)).ok_or(EnvironmentError::Missing(name));
        let invalid = |name, must| EnvironmentError::Invalid { name, must };

        let token = either("SELENA_MODULE_TOKEN", "MODULE_TOKEN")?;
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid("SELENA_MODULE_TOKEN", "is no token: it holds characters a header cannot bear"));
        }
        let core = CoreUrl::parse(&either("SELENA_CORE_URL", "SELENA_CORE_API")?)
            .ok_or(invalid("SELENA_CORE_URL", "must be http://localhost:<port>/<path>: the hub is on this machine"))?;
        let port = required("SELENA_MODULE_PORT")?.parse().ok().filter(|port| *port != 0);
        Ok(Self {
            name: required("SELENA_MODULE_NAME")?,
            port: port.ok_or(invalid("SELENA_MODULE_PORT", "must be a port number"))?,
            core,
            token: Secret::new(token),
            webhook_secret: optional("SELENA_WEBHOOK_SECRET").map(|text| WebhookSecret::new(&text)),
            install_path: optional("SELENA_INSTALL_PATH").unwrap_or_else(|| ".".to_owned()).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 6] = [
        ("SELENA_MODULE_TOKEN", "canary-token"),
        ("SELENA_CORE_URL", "http://localhost:7070/api/v1"),
        ("SELENA_WEBHOOK_SECRET", "canary-secret"),
        ("SELENA_MODULE_NAME", "lamp"),
        ("SELENA_MODULE_PORT", "8102"),
        ("SELENA_INSTALL_PATH", "/app"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        Environment::read(|name| {
            let all = changes.iter().chain(&GOOD);
            all.copied().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        })
    }

    #[test]
    fn reads_all_of_it() {
        let read = read(&[]).expect("good");
        assert_eq!((read.name.as_str(), read.port, read.install_path.to_str()), ("lamp", 8102, Some("/app")));
        assert_eq!(read.token.expose(), "canary-token");
    }

    #[test]
    fn takes_the_names_of_older_hubs() {
        let older = [
            ("SELENA_MODULE_TOKEN", ""),
            ("SELENA_CORE_URL", ""),
            ("MODULE_TOKEN", "old"),
            ("SELENA_CORE_API", "http://127.0.0.1:1/x"),
        ];
        let read = read(&older).expect("good");
        assert_eq!((read.token.expose(), read.core.base_path.as_str()), ("old", "/x"));
    }

    #[test]
    fn says_which_variable_is_wrong_and_nothing_of_its_value() {
        for (name, value) in [
            ("SELENA_MODULE_TOKEN", ""),
            ("SELENA_MODULE_TOKEN", "canary\r\nX: y"),
            ("SELENA_CORE_URL", "http://canary.example:1/"),
            ("SELENA_MODULE_NAME", ""),
            ("SELENA_MODULE_PORT", "canary"),
            ("SELENA_MODULE_PORT", "0"),
        ] {
            let error = read(&[(name, value)]).expect_err(name).to_string();
            assert!(error.contains(name) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", read(&[]).expect("good"));
        assert!(!shown.contains("canary"), "{shown}");
    }
}
