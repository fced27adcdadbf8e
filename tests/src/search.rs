//! Looking for a text where it must not be.

use std::{fs, path::Path};

/// The files below a directory that hold one of the texts, as bytes anywhere in them.
#[must_use]
pub fn files_with(dir: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    walk(dir, &mut |path, content| {
        for text in texts.iter().filter(|text| holds(content, text.as_bytes())) {
            found.push(format!("{} holds {}…", path.display(), &text[..6]));
        }
    });
    found
}

/// The processes whose `/proc/<pid>/<file>` holds one of the texts.
#[must_use]
pub fn processes_with(file: &str, texts: &[&str]) -> Vec<String> {
    let all = fs::read_dir("/proc").expect("/proc is there").flatten();
    let pids = all.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()));
    let holding = pids.filter(|entry| {
        let content = fs::read(entry.path().join(file)).unwrap_or_default();
        texts.iter().any(|text| holds(&content, text.as_bytes()))
    });
    holding.map(|entry| entry.path().display().to_string()).collect()
}

/// Whether bytes hold others.
#[must_use]
pub fn holds(content: &[u8], text: &[u8]) -> bool {
    content.windows(text.len()).any(|window| window == text)
}

fn walk(dir: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), look),
            Ok(kind) if kind.is_file() => look(&entry.path(), &fs::read(entry.path()).unwrap_or_default()),
            _ => {}
        }
    }
}
