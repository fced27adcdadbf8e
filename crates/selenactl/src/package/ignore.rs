//! What of a directory is no part of the package.

use std::{fs, io, path::Path};

use super::PackageError;

/// The file that names what an author leaves out.
const FILE: &str = ".selenaignore";

/// What cargo builds a program from, by its name at the top; it is seldom packed.
const SOURCES: [&str; 3] = ["src", "build.rs", "Cargo.toml"];

/// What is left out: names that begin with a dot, `__pycache__`, `target` at the top, and the author's own patterns.
#[derive(Debug, Default)]
pub(super) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    glob: String,
    /// It fits the path from the top; else one name of it.
    whole_path: bool,
    directories_only: bool,
}

impl Ignore {
    /// What the package in this directory leaves out.
    pub(super) fn of(dir: &Path) -> Result<Self, PackageError> {
        let file = dir.join(FILE);
        match fs::read_to_string(&file) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(PackageError::io("read", &file)(error)),
        }
    }

    fn parse(text: &str) -> Result<Self, PackageError> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let meant = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let patterns = meant.map(|(line, text)| pattern(text).map_err(|why| PackageError::Ignore { line, why }));
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()? })
    }

    /// Whether a path is left out whose directories are not.
    pub(super) fn leaves_out(&self, path: &str, is_directory: bool) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        is_always_out(path, is_directory) || self.patterns.iter().any(|pattern| pattern.fits(path, name, is_directory))
    }

    /// Whether a change of the path means nothing to the running module: what is left out, but for what a program is
    /// built from.
    pub(super) fn is_unwatched(&self, path: &str, is_directory: bool) -> bool {
        let top = path.split('/').next().unwrap_or(path);
        let is_source = SOURCES.contains(&top);
        if is_source { is_always_out(path, is_directory) } else { self.leaves_out(path, is_directory) }
    }
}

fn is_always_out(path: &str, is_directory: bool) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with('.') || (is_directory && (name == "__pycache__" || path == "target"))
}

impl Pattern {
    fn fits(&self, path: &str, name: &str, is_directory: bool) -> bool {
        let text = if self.whole_path { path } else { name };
        (is_directory || !self.directories_only) && fits(self.glob.as_bytes(), text.as_bytes())
    }
}

fn pattern(text: &str) -> Result<Pattern, &'static str> {
    if text.starts_with('!') {
        return Err("`!` is not understood: what is left out cannot be taken in again");
    }
    if text.contains("**") || text.contains('[') {
        return Err("only `*` and `?` are understood, and neither fits a `/`");
    }
    let (glob, directories_only) = match text.strip_suffix('/') {
        Some(directory) => (directory, true),
        None => (text, false),
    };
    let whole_path = glob.contains('/');
    Ok(Pattern { glob: glob.trim_start_matches('/').to_owned(), whole_path, directories_only })
}

/// Whether the pattern fits all of the text. Each star gives way by one byte at a time, the last one first.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where to go on from if what comes after the last star does not fit.
    let mut star = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, from));
                at += 1;
            }
            Some(b'?') if text[from] != b'/' => (at, from) = (at + 1, from + 1),
            Some(byte) if *byte == text[from] => (at, from) = (at + 1, from + 1),
            _ => match star {
                Some((after, taken)) if text[taken] != b'/' => {
                    star = Some((after, taken + 1));
                    (at, from) = (after, taken + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves_out(file: &str, path: &str, is_directory: bool) -> bool {
        Ignore::parse(file).unwrap().leaves_out(path, is_directory)
    }

    #[test]
    fn some_things_are_never_packed() {
        for (path, is_directory, out) in [
            (".git", true, true),
            ("ui/.DS_Store", false, true),
            ("a/__pycache__", true, true),
            ("target", true, true),
            ("target", false, false),
            ("ui/target", true, false),
            ("main.py", false, false),
        ] {
            assert_eq!(leaves_out("", path, is_directory), out, "{path}");
        }
    }

    #[test]
    fn patterns_fit_names_anywhere_or_paths_from_the_top() {
        for (pattern, path, is_directory, out) in [
            ("*.zip", "a-1.zip", false, true),
            ("*.zip", "ui/b.zip", false, true),
            ("*.zip", "b.zip.txt", false, false),
            ("/*.zip", "b.zip", false, true),
            ("/*.zip", "ui/b.zip", false, false),
            ("ui/*.map", "ui/a.map", false, true),
            ("ui/*.map", "ui/x/a.map", false, false),
            ("tests/", "tests", true, true),
            ("tests/", "tests", false, false),
            ("test_?*.py", "test_x.py", false, true),
            ("test_?*.py", "test_.py", false, false),
            ("a*b*c", "axxbxbyc", false, true),
            ("a*b*c", "axxbxby", false, false),
            ("# *", "x", false, false),
        ] {
            assert_eq!(leaves_out(pattern, path, is_directory), out, "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_line() {
        for bad in ["!main.py", "**/x", "[ab]"] {
            let error = Ignore::parse(&format!("# first\n{bad}\n")).unwrap_err();
            assert!(error.to_string().starts_with(".selenaignore, line 2: "), "{error}");
        }
    }
}
