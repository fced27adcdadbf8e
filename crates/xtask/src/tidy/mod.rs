//! Rules of the house. Each rule takes a tree and tells what breaks it, so that tests can show it a bad one.

mod arrows;
mod docs;
mod length;
mod members;
mod words;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

/// A rule that is broken somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The file, relative to the root.
    file: PathBuf,
    /// The line, from 1, if it is one line's.
    line: Option<usize>,
    /// What is wrong, and what would be right.
    what: String,
}

impl Violation {
    fn new(file: impl Into<PathBuf>, line: Option<usize>, what: String) -> Self {
        Self { file: file.into(), line, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what)
    }
}

/// A file of the project that holds text.
#[derive(Debug)]
struct TextFile {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

/// Checks every rule on a tree; what is broken, in the order of the rules.
///
/// # Errors
/// If the tree cannot be read, or is no workspace.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<Violation>> {
    let workspace = members::read(root)?;
    let files = texts(root)?;
    let mut violations = arrows::check(&workspace);
    violations.extend(length::check(&files, length::LONG_FILES));
    violations.extend(docs::check(root, &workspace)?);
    violations.extend(words::check(&files));
    Ok(violations)
}

/// All files of the project that hold UTF-8 text.
fn texts(root: &Path) -> anyhow::Result<Vec<TextFile>> {
    let mut texts = Vec::new();
    for path in paths(root)? {
        match fs::read(root.join(&path)) {
            Ok(bytes) => texts.extend(String::from_utf8(bytes).ok().map(|text| TextFile { path, text })),
            // Deleted and not yet committed, or a link to a directory.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        }
    }
    Ok(texts)
}

/// The files git knows or would add, sorted; in a tree without git all files but `target`.
fn paths(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut paths = Vec::new();
    if root.join(".git").exists() {
        let git = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let output = Command::new("git").current_dir(root).args(git).output().context("cannot run git")?;
        anyhow::ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
        let listed = String::from_utf8(output.stdout).context("a file's name is no UTF-8")?;
        paths.extend(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned));
    } else {
        walk(root, "", &mut paths)?;
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn walk(root: &Path, below: &str, paths: &mut Vec<String>) -> anyhow::Result<()> {
    let directory = root.join(below);
    for entry in fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let entry = entry?;
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        match entry.file_type()? {
            kind if kind.is_file() => paths.push(path),
            kind if kind.is_dir() && path != "target" => walk(root, &format!("{path}/"), paths)?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
