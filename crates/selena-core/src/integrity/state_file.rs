//! The file in which the integrity agent says what it last found.
//!
//! It works when the core does not, and the core believes it only as long as it is fresh: measured by the time since
//! boot, which no wrong clock moves.

use std::{fs, io::Read, os::unix::fs::OpenOptionsExt, path::Path};

use jiff::Timestamp;
use nix::fcntl::OFlag;
use serde::Deserialize;

use crate::boot_clock;

/// How old a report may be: after that the state is unknown (protocol, section 8.2).
const MAX_AGE_SECS: f64 = 180.0;
/// Largest file that is read.
const MAX_BYTES: u64 = 1024 * 1024;
/// What the agent may say of its last check.
const WORDS: [&str; 5] = ["ok", "violated", "manifest_tampered", "restoring", "safe_mode"];

/// What the agent last found.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct AgentState {
    /// One of [`WORDS`].
    pub(super) status: String,
    /// When, by the clock.
    pub(super) last_check: Timestamp,
    /// How often it checks.
    pub(super) check_interval_sec: u64,
    /// How many files it compared.
    pub(super) files_checked: u64,
    /// Those that are not as they should be.
    pub(super) changed_files: Vec<String>,
    /// How often it tried to restore them.
    pub(super) restore_attempts: u64,
    /// Who has announced a change of the hub's files that holds now: `update` or `operator`.
    #[serde(default)]
    pub(super) maintenance: Option<String>,
    /// The boot it was in, as `/proc/sys/kernel/random/boot_id` has it.
    boot_id: String,
    /// When, in seconds since that boot.
    pub(super) checked_at_boot_secs: f64,
}

impl AgentState {
    /// What a report says that comes now.
    pub(super) fn reported(status: &str, changed_files: Vec<String>) -> Self {
        Self {
            status: status.to_owned(),
            last_check: Timestamp::now(),
            check_interval_sec: super::CHECK_INTERVAL_SECS,
            files_checked: 0,
            changed_files,
            restore_attempts: 0,
            maintenance: None,
            boot_id: String::new(),
            checked_at_boot_secs: secs_since_boot(),
        }
    }

    /// Whether it was said within the last 180 s, and not in the future.
    pub(super) fn is_fresh(&self) -> bool {
        (0.0..=MAX_AGE_SECS).contains(&(secs_since_boot() - self.checked_at_boot_secs))
    }
}

/// What the agent last found, unless that is too long ago, of another boot, or not readable.
pub(super) fn read_state(path: &Path) -> Option<AgentState> {
    let state: AgentState = serde_json::from_slice(&read(path)?).ok()?;
    let fresh = state.boot_id == boot_clock::boot_id() && state.is_fresh();
    (fresh && WORDS.contains(&state.status.as_str())).then_some(state)
}

/// Not by a link, and not a pipe that would hold the reader.
fn read(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MAX_BYTES).then_some(bytes)
}

pub(super) fn secs_since_boot() -> f64 {
    boot_clock::since_boot().as_secs_f64()
}
