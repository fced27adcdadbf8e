//! Files stay short enough to be read at once.

use super::{TextFile, Violation};

/// Longest Rust file, in lines.
const MAX_LINES: usize = 400;

/// Files that may be longer, each with its reason.
pub(super) const LONG_FILES: &[(&str, &str)] = &[];

/// No Rust file is longer than 400 lines without a reason, and no reason outlives its file's length.
pub(super) fn check(files: &[TextFile], long_files: &[(&str, &str)]) -> Vec<Violation> {
    let too_long = |file: &&TextFile| file.path.ends_with(".rs") && file.text.lines().count() > MAX_LINES;
    let long: Vec<_> = files.iter().filter(too_long).collect();
    let listed = |file: &&&TextFile| long_files.iter().any(|(path, _)| *path == file.path);
    let mut violations = Vec::new();
    for file in long.iter().filter(|file| !listed(file)) {
        let lines = file.text.lines().count();
        let what = format!("{lines} lines of at most {MAX_LINES}: one file is one idea, so split it");
        violations.push(Violation::new(&file.path, None, what));
    }
    for (path, _) in long_files.iter().filter(|(path, _)| !long.iter().any(|file| file.path == *path)) {
        let what = format!("is listed as a long file and is none: take it out of the list of {}", file!());
        violations.push(Violation::new(path, None, what));
    }
    violations
}
