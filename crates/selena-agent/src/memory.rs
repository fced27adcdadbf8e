//! What the agent remembers over its own restarts: `<secure>/agent.state`.

use serde::{Deserialize, Serialize};

use crate::{
    clock, durable,
    places::Places,
    report::Finding,
    secure_file::{self, Readers, SecureFileError},
};

const NAME: &str = "agent.state";
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// How often what was restored may change again within [`SPAN_SECS`] before it is left, and SAFE MODE entered.
const MAX_RESTORATIONS: usize = 10;
/// An hour of the time since boot.
const SPAN_SECS: u64 = 3600;

/// What came of a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// It is being restored.
    Restoring,
    /// The files are restored; the core is not restarted yet, or not told.
    Restored,
    /// It was left: SAFE MODE, until a person has restored the files.
    GivenUp,
    /// It is over.
    Over,
}

/// A violation, from its discovery to its end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Episode {
    /// What was found.
    pub(crate) finding: Finding,
    /// When, by the clock.
    pub(crate) found_at: String,
    /// The files concerned.
    pub(crate) files: Vec<String>,
    /// How often it was tried to restore them.
    pub(crate) attempts: u32,
    /// What came of it.
    pub(crate) stage: Stage,
    /// Whether the core knows of it.
    pub(crate) reported: bool,
}

/// All that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Memory {
    /// The last violation, over or not.
    pub(crate) episode: Option<Episode>,
    /// When files were restored, in seconds since the boot.
    restorations: Vec<u64>,
    /// The boot they were restored in.
    boot_id: String,
}

impl Memory {
    /// What was remembered; nothing if there is no such file, or none that can be trusted.
    pub(crate) fn read(places: &Places) -> Self {
        let read = secure_file::read(&places.secure_file(NAME), Readers::Group, MAX_BYTES);
        let memory = match read {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Err(SecureFileError::Missing(_)) => return Self::default(),
            Err(error) => Err(error.to_string()),
        };
        memory.unwrap_or_else(|error| {
            tracing::error!(error, "what the agent remembered is lost: it begins anew");
            Self::default()
        })
    }

    /// Remembers, durably. If that fails the agent works on, and says so.
    pub(crate) fn write(&self, places: &Places) {
        let path = places.secure_file(NAME);
        let bytes = serde_json::to_vec(self).expect("texts and numbers");
        if let Err(error) = durable::replace(&path, &bytes, 0o600) {
            tracing::error!(file = %path.display(), %error, "what was tried is not remembered over a restart: free space");
        }
    }

    /// The violation that is not over.
    pub(crate) fn open(&mut self) -> Option<&mut Episode> {
        self.episode.as_mut().filter(|episode| episode.stage != Stage::Over)
    }

    /// Notes that files were restored now.
    pub(crate) fn note_restoration(&mut self) {
        self.forget_old();
        self.restorations.push(clock::since_boot().as_secs());
    }

    /// Whether files were restored so often lately that one more time would not help.
    pub(crate) fn restored_too_often(&mut self) -> bool {
        self.forget_old();
        self.restorations.len() >= MAX_RESTORATIONS
    }

    fn forget_old(&mut self) {
        let (boot_id, now) = (clock::boot_id().unwrap_or_default(), clock::since_boot().as_secs());
        if self.boot_id != boot_id {
            self.restorations.clear();
            self.boot_id = boot_id;
        }
        self.restorations.retain(|then| *then <= now && now - then < SPAN_SECS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restorations_of_another_boot_or_of_long_ago_do_not_count() {
        let mut memory = Memory::default();
        for _ in 0..MAX_RESTORATIONS {
            assert!(!memory.restored_too_often());
            memory.note_restoration();
        }
        assert!(memory.restored_too_often());
        let mut rebooted = Memory { boot_id: "another".to_owned(), ..memory.clone() };
        assert!(!rebooted.restored_too_often());
        let future = clock::since_boot().as_secs() + 1000;
        let mut odd = Memory { restorations: vec![future; 20], ..memory };
        assert!(!odd.restored_too_often());
    }
}
