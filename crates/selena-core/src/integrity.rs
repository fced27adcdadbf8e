//! What the integrity agent tells the hub, and SAFE MODE (protocol, section 8.2).
//!
//! The agent is a process of its own that trusts nothing here; the core only shows what it reported, and obeys.

mod report;
mod state_file;

pub(crate) use report::restored_files;
pub use report::{Finding, Violation};

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use jiff::Timestamp;
use selena_types::{Secret, TokenHash};
use serde_json::{Value, json};

use crate::{ApiError, token};
use state_file::{AgentState, read_state, secs_since_boot};

/// The file that puts the hub into SAFE MODE at its start, within the data directory.
const FLAG: &str = "SAFE_MODE";
/// What the agent last found, within the data directory; the agent writes it.
const STATE: &str = "integrity.json";
/// Who may announce changes of the hub's files.
const ANNOUNCERS: [&str; 2] = ["update", "operator"];
/// How often the agent checks, in seconds.
const CHECK_INTERVAL_SECS: u64 = 60;

/// Why the hub is in SAFE MODE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The agent reported a violation; the next start of the core ends it.
    Violation,
    /// The flag file lies in the data directory; only a person ends it.
    Flag,
}

/// SAFE MODE: nothing is changed, and no module runs.
#[derive(Clone, Debug, PartialEq)]
pub struct SafeMode {
    /// Since when, by the clock.
    pub since: Timestamp,
    /// Why.
    pub cause: Cause,
    /// When this process learnt of it, in seconds since boot: no wrong clock moves that.
    learnt_at_boot_secs: f64,
}

impl SafeMode {
    fn new(since: Timestamp, cause: Cause) -> Self {
        Self { since, cause, learnt_at_boot_secs: secs_since_boot() }
    }
}

/// What is known of the hub's integrity. By default that of a trial: nobody reports, and there is no SAFE MODE.
#[derive(Debug, Default)]
pub struct Integrity {
    secret: Option<TokenHash>,
    data_dir: Option<PathBuf>,
    safe_mode: Mutex<Option<SafeMode>>,
    /// The last violation that was reported, until files are restored: it may be newer than the state file.
    reported: Mutex<Option<AgentState>>,
}

impl Integrity {
    /// The integrity of a hub whose agent proves itself with `secret`. A flag file that lies there counts from now on;
    /// one that cannot be examined counts as there.
    #[must_use]
    pub fn of_hub(secret: &Secret, data_dir: &Path) -> Self {
        let safe_mode = match fs::symlink_metadata(data_dir.join(FLAG)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            outcome => {
                let written = outcome.and_then(|flag| flag.modified()).ok();
                let since = written.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or_else(Timestamp::now);
                Some(SafeMode::new(since, Cause::Flag))
            }
        };
        Self {
            secret: Some(token::hash(secret.expose())),
            data_dir: Some(data_dir.to_owned()),
            safe_mode: Mutex::new(safe_mode),
            reported: Mutex::default(),
        }
    }

    /// SAFE MODE, if the hub is in it.
    #[must_use]
    pub fn safe_mode(&self) -> Option<SafeMode> {
        self.locked().clone()
    }

    /// Refuses what changes anything while the hub is in SAFE MODE.
    ///
    /// # Errors
    /// [`ApiError::SafeMode`].
    pub fn check_normal(&self) -> Result<(), ApiError> {
        if self.locked().is_some() { Err(ApiError::SafeMode) } else { Ok(()) }
    }

    /// Whether this is the agent's secret; in a time that does not depend on where they differ.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] `agent_secret`.
    pub(crate) fn check_agent(&self, secret: Option<&str>) -> Result<(), ApiError> {
        let right =
            secret.zip(self.secret.as_ref()).is_some_and(|(secret, own)| token::same(&token::hash(secret), own));
        let detail = "this is for the integrity agent: X-Agent-Secret is missing or not the one of this hub";
        if right { Ok(()) } else { Err(ApiError::Forbidden { code: "agent_secret", detail: detail.to_owned() }) }
    }

    /// Enters SAFE MODE for a violation; `false` if the hub was in it already.
    pub(crate) fn enter(&self, violation: &Violation) -> bool {
        let state = AgentState::reported(violation.finding.as_str(), violation.files.clone());
        *self.reported.lock().expect("nothing panics while it holds the report") = Some(state);
        let mut safe_mode = self.locked();
        let entered = safe_mode.is_none();
        let mode = safe_mode.get_or_insert_with(|| SafeMode::new(Timestamp::now(), Cause::Violation));
        // A clean check has to be younger than the last report.
        mode.learnt_at_boot_secs = secs_since_boot();
        entered
    }

    /// Leaves SAFE MODE after a clean check: the flag is removed durably first.
    ///
    /// # Errors
    /// 409 if the hub is not in SAFE MODE, or the agent's last check is not clean, or too old to tell.
    pub(crate) fn leave(&self) -> Result<(), ApiError> {
        let conflict = |code, detail: String| Err(ApiError::Conflict { code, detail });
        let Some(safe_mode) = self.safe_mode() else {
            return conflict("not_in_safe_mode", "the hub is not in SAFE MODE".to_owned());
        };
        match self.state() {
            Some(state) if state.status != "ok" => {
                let files = state.changed_files.join(", ");
                let detail =
                    format!("the last check is not clean ({}): {files}: restore these files first", state.status);
                return conflict("integrity_not_clean", detail);
            }
            Some(state) if state.checked_at_boot_secs <= safe_mode.learnt_at_boot_secs => {
                let detail = "the integrity agent has not checked since SAFE MODE began: try again in a minute";
                return conflict("integrity_not_clean", detail.to_owned());
            }
            Some(_) => {}
            None => {
                let detail = "the integrity agent has not reported for 180 s: start it, then try again";
                return conflict("integrity_unknown", detail.to_owned());
            }
        }
        // Held while the flag goes: a report that comes meanwhile enters anew.
        let mut now = self.locked();
        if now.as_ref() != Some(&safe_mode) {
            return conflict("integrity_not_clean", "the integrity agent has just reported again".to_owned());
        }
        self.remove_flag().map_err(ApiError::internal)?;
        *now = None;
        Ok(())
    }

    fn remove_flag(&self) -> io::Result<()> {
        let Some(data_dir) = &self.data_dir else { return Ok(()) };
        match fs::remove_file(data_dir.join(FLAG)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::File::open(data_dir)?.sync_all()
    }

    /// One word for the heartbeat, `/health` and the status.
    #[must_use]
    pub fn word(&self) -> String {
        if self.safe_mode().is_some_and(|safe_mode| safe_mode.cause == Cause::Flag) {
            return "safe_mode".to_owned();
        }
        self.state().map_or_else(|| "unknown".to_owned(), |state| state.status)
    }

    /// `GET /integrity/status`.
    #[must_use]
    pub fn status(&self) -> Value {
        let state = self.state();
        let of = |field: fn(&AgentState) -> Value| state.as_ref().map_or(Value::Null, field);
        json!({
            "status": self.word(),
            "last_check": of(|state| json!(state.last_check)),
            "check_interval_sec": state.as_ref().map_or(CHECK_INTERVAL_SECS, |state| state.check_interval_sec),
            "files_checked": state.as_ref().map_or(0, |state| state.files_checked),
            "changed_files": state.as_ref().map_or_else(Vec::new, |state| state.changed_files.clone()),
            "restore_attempts": state.as_ref().map_or(0, |state| state.restore_attempts),
            "safe_mode_since": self.safe_mode().map(|safe_mode| safe_mode.since),
        })
    }

    /// Who has announced a change of the hub's files that holds now; `None` if the agent does not say.
    #[must_use]
    pub(crate) fn maintenance(&self) -> Option<Option<String>> {
        let written = read_state(&self.data_dir.as_ref()?.join(STATE))?;
        Some(written.maintenance.filter(|by| ANNOUNCERS.contains(&by.as_str())))
    }

    /// Files were restored: what was reported before says nothing any more.
    pub(crate) fn restored(&self) {
        *self.reported.lock().expect("nothing panics while it holds the report") = None;
    }

    /// The newer of what the agent wrote and what it reported, while that is fresh.
    fn state(&self) -> Option<AgentState> {
        let written = self.data_dir.as_ref().and_then(|data_dir| read_state(&data_dir.join(STATE)));
        let reported = self.reported.lock().expect("nothing panics while it holds the report").clone();
        let newest = written.into_iter().chain(reported.filter(AgentState::is_fresh));
        newest.max_by(|one, other| one.checked_at_boot_secs.total_cmp(&other.checked_at_boot_secs))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<SafeMode>> {
        self.safe_mode.lock().expect("nothing panics while it holds the mode")
    }
}

#[cfg(test)]
mod tests;
