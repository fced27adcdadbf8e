//! What a check found.

use selena_manifest::{NoticeKind, Violation};
use serde::{Deserialize, Serialize};

/// Most violations that are sent, stored or printed; all are counted.
pub(crate) const MAX_LISTED: usize = 1000;

/// The three outcomes of a check (protocol, section 8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Finding {
    /// All is as it should be.
    Ok,
    /// Files are not as the manifest has them.
    Violated,
    /// The manifest itself is not the signed one.
    ManifestTampered,
}

impl Finding {
    /// The word of the APIs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Violated => "violated",
            Self::ManifestTampered => "manifest_tampered",
        }
    }

    /// The exit code of `check`.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Violated => 2,
            Self::ManifestTampered => 3,
        }
    }
}

/// What a check found; its JSON is that of `check --json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// In one word.
    pub(crate) status: Finding,
    /// How many files were hashed and compared.
    pub(crate) files_checked: u64,
    /// What is not as it should be, and nobody announced.
    pub(crate) violations: Vec<Violation>,
    /// Who has announced a change that holds now, whatever it has changed yet.
    pub(crate) announced_by: Option<NoticeKind>,
    /// What is not as it should be, and was announced.
    pub(crate) maintenance: Vec<Announced>,
}

/// A difference that was announced in the maintenance file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Announced {
    /// By whom.
    pub(crate) by: NoticeKind,
    /// What differs.
    #[serde(flatten)]
    pub(crate) difference: Violation,
}

impl Report {
    /// The files concerned, each once.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files: Vec<_> = self.violations.iter().map(|violation| violation.file.clone()).collect();
        files.dedup();
        files
    }

    /// Tells each violation to the journal, up to a limit: a flood there would hide more than it shows.
    pub(crate) fn log(&self) {
        const MAX_LOGGED: usize = 50;
        for violation in self.violations.iter().take(MAX_LOGGED) {
            let (expected, actual) = (violation.expected.as_deref(), violation.actual.as_deref());
            tracing::error!(
                file = violation.file,
                expected = expected.unwrap_or("nothing"),
                actual = actual.unwrap_or("nothing"),
                kind = ?violation.kind,
                "this file is not as the baseline has it: if nobody meant that, somebody has changed the hub"
            );
        }
        if let Some(more) = self.violations.len().checked_sub(MAX_LOGGED).filter(|more| *more > 0) {
            tracing::error!(more, "more files are not as the baseline has them: `selena-agent check` lists them");
        }
        for announced in self.maintenance.iter().take(MAX_LOGGED) {
            let file = &announced.difference.file;
            tracing::info!(file, by = announced.by.as_str(), "this file is being changed, as was announced");
        }
    }
}
