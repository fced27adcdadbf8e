//! Why a module ends.

use std::{fmt, io};

use crate::{EnvironmentError, HubError, journal::chain};

/// Why a module ends. Its `Debug` is a sentence with all causes, so that `main` can return it.
#[derive(thiserror::Error)]
pub enum RunError {
    /// The environment is not one of a module.
    #[error("this is no module's environment")]
    Environment(#[from] EnvironmentError),
    /// There are handlers, but nothing to check signatures with: every webhook would have to be refused.
    #[error("SELENA_WEBHOOK_SECRET is not set: without it no event and no command can be believed")]
    NoWebhookSecret,
    /// Nothing can be heard on the module's port.
    #[error("cannot listen on port {port}")]
    Listen {
        /// `SELENA_MODULE_PORT`.
        port: u16,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The operating system gave no event loop.
    #[error("cannot start the module's event loop")]
    EventLoop(#[source] io::Error),
    /// A handler's pattern is none.
    #[error("`{pattern}` is no pattern of events")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        source: selena_types::EventTypeError,
    },
    /// A directory of pages is not there.
    #[error("there is no directory `{path}` to serve pages from")]
    Pages {
        /// The directory.
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The hub refuses the subscription: the manifest does not allow it.
    #[error("the hub refused the subscription")]
    Subscribe(#[source] HubError),
    /// The module's own part failed.
    #[error("the module failed")]
    Failed(#[source] Box<dyn std::error::Error>),
}

impl fmt::Debug for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(self))
    }
}
