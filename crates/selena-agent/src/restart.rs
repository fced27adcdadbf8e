//! Restarting the core.

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use crate::{
    arguments::Run,
    waits::{ProgramError, Waits},
};

/// How long the core may take to end and to start.
const LIMIT: Duration = Duration::from_secs(90);
/// Where systemd says that it runs this machine (`sd_booted(3)`).
const SYSTEMD: &str = "/run/systemd/system";

const SYSTEMCTL: &str = "systemctl";

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

/// A unit file that was restored is read again first: the changed one must not start the core once more.
fn unit_anew(waits: &Waits, unit: &str) -> Result<ExitStatus, ProgramError> {
    match waits.call(SYSTEMCTL.as_ref(), &["daemon-reload"], LIMIT) {
        Ok(status) if status.success() => {}
        outcome => tracing::warn!(?outcome, "systemd did not read its units again; the core is restarted all the same"),
    }
    waits.call(SYSTEMCTL.as_ref(), &["restart", unit], LIMIT)
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
            Self::Unit(unit) => unit_anew(waits, unit),
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
