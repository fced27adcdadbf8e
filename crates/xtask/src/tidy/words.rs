//! Words and paths that have no place in what ships.

use super::{TextFile, Violation};

/// Marks of work that is not done. Written in pieces, since this file is checked too.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Directories of the machines the project is made on.
const PLACES: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// No mark of unfinished work, and no path of somebody's machine.
pub(super) fn check(files: &[TextFile]) -> Vec<Violation> {
    files.iter().filter(|file| file.path != "Cargo.lock").flat_map(of).collect()
}

fn of(file: &TextFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for mark in MARKS.iter().filter(|mark| has_word(line, mark)) {
            let what = format!("`{mark}`: do it, or write an issue and say here what is true today");
            violations.push(Violation::new(&file.path, Some(number), what));
        }
        for place in PLACES.iter().filter(|place| has_path(line, place)) {
            let what = format!("`{place}` is a path of one machine: make it relative, or a setting");
            violations.push(Violation::new(&file.path, Some(number), what));
        }
    }
    violations
}

/// Whether the line has the word, not as a part of a longer one such as a pattern of `mktemp`.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(start, _)| !line[..start].ends_with(part) && !line[start + word.len()..].starts_with(part))
}

/// Whether the line has the path at its beginning, not as a part of a longer one or of a URL.
fn has_path(line: &str, path: &str) -> bool {
    let longer = |c: char| c.is_alphanumeric() || "_-.~/})>]*$".contains(c);
    line.match_indices(path).any(|(start, _)| !line[..start].ends_with(longer))
}
