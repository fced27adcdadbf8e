//! Restarting the core.

use std::{path::Path, path::PathBuf, time::Duration};

use crate::{arguments::Run, waits::Waits};

/// How long the core may take to end and to start.
const LIMIT: Duration = Duration::from_secs(90);
/// Where systemd says that it runs this machine (`sd_booted(3)`).
const SYSTEMD: &str = "/run/systemd/system";

/// How the core is restarted here.
#[derive(Clone, Debug)]
pub(crate) enum Restart {
    /// By a program of the operator's.
    Program(PathBuf),
    /// By systemd, this unit.
    Unit(String),
    /// Not at all: a development machine.
    Nothing,
}

impl Restart {
    /// How it is on this machine.
    pub(crate) fn new(run: &Run) -> Self {
        match &run.restart_command {
            Some(program) => Self::Program(program.clone()),
            None if Path::new(SYSTEMD).is_dir() => Self::Unit(run.core_unit.clone()),
            None => Self::Nothing,
        }
    }

    /// Restarts the core; whether that went well. What did not is told.
    pub(crate) fn core(&self, waits: &Waits) -> bool {
        let called = match self {
            Self::Program(program) => waits.call(program, &[], LIMIT),
            Self::Unit(unit) => waits.call("systemctl".as_ref(), &["restart", unit], LIMIT),
            Self::Nothing => {
                tracing::error!(
                    "the core is not restarted: there is no systemd here, and no --restart-command; restart it by hand"
                );
                return false;
            }
        };
        match called {
            Ok(status) if status.success() => {
                tracing::warn!("the core was restarted");
                true
            }
            Ok(status) => {
                tracing::error!(%status, "the core was not restarted: see its journal, and restart it by hand");
                false
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "the core was not restarted: restart it by hand");
                false
            }
        }
    }
}
