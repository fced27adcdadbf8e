//! How far an install or start is, for those who follow it (protocol, section 2).

use std::{collections::BTreeMap, sync::Mutex};

use selena_types::{ModuleName, ModuleState};
use serde::Serialize;
use tokio::sync::watch;

use super::{ModuleRecord, signer::with_signer};

/// Most names whose progress is remembered.
const MAX_NAMES: usize = 256;

/// One line of `GET /modules/{name}/status/stream`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Where the module stands.
    pub status: ModuleState,
    /// What happens now, or why it ended, for people.
    pub message: String,
    /// 0 to 100.
    pub progress: u8,
}

impl Progress {
    /// What a stored module shows.
    pub(super) fn of(record: &ModuleRecord) -> Self {
        let message = record.error.clone().unwrap_or_else(|| match record.state {
            ModuleState::Running => "running and healthy".to_owned(),
            ModuleState::Ready => "installed; not running now".to_owned(),
            ModuleState::Stopped => "stopped by a person".to_owned(),
            ModuleState::AwaitingConsent => "a person has to grant what it asks for".to_owned(),
            other => other.as_str().to_lowercase(),
        });
        let message = with_signer(&message, record.signed_by.as_ref());
        let progress = if record.state == ModuleState::Validating { 50 } else { 100 };
        Self { status: record.state, message, progress }
    }

    /// Whether the stream ends after it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        use ModuleState::{AwaitingConsent, Error, Quarantined, Ready, Removed, Running, Stopped};
        matches!(self.status, Running | Error | Stopped | AwaitingConsent | Ready | Quarantined | Removed)
    }
}

/// The progress of every name.
#[derive(Debug, Default)]
pub(super) struct Progresses {
    by_name: Mutex<BTreeMap<ModuleName, watch::Sender<Progress>>>,
}

impl Progresses {
    /// Shows a progress.
    pub(super) fn set(&self, name: &ModuleName, progress: Progress) {
        let mut by_name = self.by_name.lock().expect("nothing panics while it holds the progress");
        if let Some(sender) = by_name.get(name) {
            sender.send_replace(progress);
        } else {
            if by_name.len() >= MAX_NAMES {
                by_name.pop_first();
            }
            by_name.insert(name.clone(), watch::Sender::new(progress));
        }
    }

    /// Follows a name, if something is known of it.
    pub(super) fn follow(&self, name: &ModuleName) -> Option<watch::Receiver<Progress>> {
        let by_name = self.by_name.lock().expect("nothing panics while it holds the progress");
        by_name.get(name).map(watch::Sender::subscribe)
    }
}
