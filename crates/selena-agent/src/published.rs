//! What the agent says in the data directory: its state for the core to show, and the flag of SAFE MODE.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
};

use selena_manifest::NoticeKind;
use serde::{Deserialize, Serialize};

use crate::{clock, durable, keys::Signer, places::Places};

const STATE: &str = "integrity.json";
const FLAG: &str = "SAFE_MODE";
/// Most files that are named, and how long a name may be: the core reads at most 1 MiB.
const MAX_FILES: usize = 500;
const MAX_NAME_CHARS: usize = 1000;

/// What the agent last found, as the core reads it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct State {
    /// `ok`, `violated`, `manifest_tampered` or `restoring`.
    pub(crate) status: String,
    /// When, by the clock.
    pub(crate) last_check: String,
    /// How often it checks.
    pub(crate) check_interval_sec: u64,
    /// How many files it compared.
    pub(crate) files_checked: u64,
    /// Those that are not as they should be.
    pub(crate) changed_files: Vec<String>,
    /// How often it tried to restore them.
    pub(crate) restore_attempts: u32,
    /// The boot it was in.
    pub(crate) boot_id: String,
    /// When, in seconds since that boot.
    pub(crate) checked_at_boot_secs: f64,
    /// Whose word the baseline is.
    pub(crate) signed_by: String,
    /// Who has announced a change that holds now: `update` or `operator`.
    #[serde(default)]
    pub(crate) maintenance: Option<String>,
}

impl State {
    /// A state of now.
    ///
    /// # Errors
    /// If the kernel does not say which boot this is.
    pub(crate) fn now(
        status: &str,
        interval_secs: u64,
        files_checked: u64,
        files: &[String],
        attempts: u32,
        signer: Signer,
    ) -> io::Result<Self> {
        let shortened = |file: &String| file.chars().take(MAX_NAME_CHARS).collect();
        Ok(Self {
            status: status.to_owned(),
            last_check: clock::wall(),
            check_interval_sec: interval_secs,
            files_checked,
            changed_files: files.iter().take(MAX_FILES).map(shortened).collect(),
            restore_attempts: attempts,
            boot_id: clock::boot_id()?,
            checked_at_boot_secs: clock::since_boot().as_secs_f64(),
            signed_by: match signer {
                Signer::Release => "release".to_owned(),
                Signer::SelfSigned => "self_signed".to_owned(),
            },
            maintenance: None,
        })
    }

    /// The same while a change is announced.
    pub(crate) fn under(self, maintenance: Option<NoticeKind>) -> Self {
        Self { maintenance: maintenance.map(|kind| kind.as_str().to_owned()), ..self }
    }

    /// Puts it where the core reads it; if that fails the agent works on, and says so.
    pub(crate) fn publish(&self, places: &Places) {
        let bytes = serde_json::to_vec(self).expect("texts and numbers");
        let path = places.data.join(STATE);
        if let Err(error) = durable::replace(&path, &bytes, 0o644) {
            tracing::error!(file = %path.display(), %error, "the core cannot show what the agent found: free space");
        }
    }

    /// What was published last.
    pub(crate) fn read(places: &Places) -> Option<Self> {
        serde_json::from_slice(&fs::read(places.data.join(STATE)).ok()?).ok()
    }
}

/// Whether the flag of SAFE MODE lies there, whatever it is.
pub(crate) fn flag_is_there(places: &Places) -> bool {
    fs::symlink_metadata(places.data.join(FLAG)).is_ok()
}

/// Lays the flag of SAFE MODE, durably; an empty file serves when the disk is full.
///
/// # Errors
/// What the file system says.
pub(crate) fn lay_flag(places: &Places, why: &str) -> io::Result<()> {
    let path = places.data.join(FLAG);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o644).custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
    match options.open(&path) {
        Ok(mut file) => {
            // The flag counts by being there; its text is for people.
            if let Err(error) = file.write_all(why.as_bytes()) {
                tracing::warn!(%error, "the flag of SAFE MODE says not why");
            }
            file.sync_all()?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    durable::sync_directory(&places.data)
}
