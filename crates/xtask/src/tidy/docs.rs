//! Every crate says what it is.

use std::{fs, path::Path};

use anyhow::Context;

use super::{Violation, members::Workspace};

/// The root file of every crate begins with `//!`.
pub(super) fn check(root: &Path, workspace: &Workspace) -> anyhow::Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for member in &workspace.members {
        let sources = ["src/lib.rs", "src/main.rs"].map(|file| member.directory.join(file));
        let there: Vec<_> = sources.iter().filter(|file| root.join(file).exists()).collect();
        if there.is_empty() {
            let what = "has neither src/lib.rs nor src/main.rs".to_owned();
            violations.push(Violation::new(&member.directory, None, what));
        }
        for file in there {
            let text =
                fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {}", file.display()))?;
            if !text.starts_with("//! ") {
                let what = "does not begin with `//!`: say what the crate is, and what it must not know".to_owned();
                violations.push(Violation::new(file, Some(1), what));
            }
        }
    }
    Ok(violations)
}
