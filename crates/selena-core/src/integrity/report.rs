//! The bodies of the agent's two reports.

use selena_types::{Problems, fields::Object};
use serde_json::{Value, json};

/// Most files that an event or an audit record names.
const MAX_NAMED: usize = 100;
/// Longest path that is shown.
const MAX_PATH_CHARS: usize = 1024;

/// What the agent found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Files are not as the manifest has them.
    Violated,
    /// The manifest itself is not the signed one.
    ManifestTampered,
}

impl Finding {
    /// The word of the APIs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Violated => "violated",
            Self::ManifestTampered => "manifest_tampered",
        }
    }
}

/// `POST /integrity/violation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What it is.
    pub finding: Finding,
    /// The first hundred files concerned.
    pub files: Vec<String>,
    /// How many there are.
    pub count: usize,
}

impl Violation {
    /// Reads the body. Only its status has to be right: a report from the agent is not refused for what it lists.
    ///
    /// # Errors
    /// [`Problems`] if it is no object or the status is none.
    pub fn parse(body: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let finding = Object::body(body, &mut problems).parsed("status", "value_error", finding);
        let Some(finding) = finding else { return Err(problems) };
        let listed = body["violations"].as_array().map_or(&[][..], Vec::as_slice);
        let name = |violation: &Value| violation.get("file").unwrap_or(violation).as_str().map(shortened);
        let files = listed.iter().filter_map(name).take(MAX_NAMED).collect();
        Ok(Self { finding, files, count: listed.len() })
    }

    /// The payload of `core.integrity_violation`.
    #[must_use]
    pub fn payload(&self) -> Value {
        json!({ "status": self.finding.as_str(), "files": self.files, "count": self.count })
    }
}

/// The files of `POST /integrity/restored`, the first hundred.
pub(crate) fn restored_files(body: &Value) -> Vec<String> {
    let listed = body["files"].as_array().map_or(&[][..], Vec::as_slice);
    listed.iter().filter_map(|file| file.as_str().map(shortened)).take(MAX_NAMED).collect()
}

fn finding(word: &str) -> Result<Finding, &'static str> {
    match word.to_ascii_lowercase().as_str() {
        "violated" => Ok(Finding::Violated),
        "manifest_tampered" => Ok(Finding::ManifestTampered),
        _ => Err("must be `VIOLATED` or `MANIFEST_TAMPERED`"),
    }
}

fn shortened(path: &str) -> String {
    path.chars().take(MAX_PATH_CHARS).collect()
}
