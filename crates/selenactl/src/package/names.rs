//! Names that a hub refuses (faults, Z03 to Z06 and Z17).

use std::collections::BTreeSet;

use super::{MAX_DEPTH, MAX_PATH_BYTES};

/// Names that are devices on Windows, with any extension.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Why a path is refused: the code, and words.
pub(super) fn problem(path: &str) -> Option<(&'static str, &'static str)> {
    let drive = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if drive || path.starts_with('/') || path.contains('\\') || path.split('/').any(|part| part == "..") {
        return Some(("zip_path", "it leaves the package; paths are relative, with `/` and without `..`"));
    }
    let why = if path.len() > MAX_PATH_BYTES {
        "the path is longer than 200 bytes"
    } else if path.split('/').count() > MAX_DEPTH {
        "it lies deeper than 16 levels"
    } else if path.chars().any(is_unseen) {
        "its name has control or invisible characters, or is not UTF-8 and marked so"
    } else {
        path.split('/').find_map(bad_part)?
    };
    Some(("zip_name", why))
}

/// Paths, and directories above them, that differ from an earlier one in capitals only (Z09).
pub(super) fn twins<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let with_parents = |path: &'a str| path.match_indices('/').map(|(at, _)| &path[..at]).chain([path]);
    let all: BTreeSet<&str> = paths.flat_map(with_parents).collect();
    let mut folded = BTreeSet::new();
    all.into_iter().filter(|path| !folded.insert(path.to_uppercase().to_lowercase())).collect()
}

/// Controls, and what changes how the text around it is shown; also what a name that is not UTF-8 was read as.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}')
}

fn bad_part(part: &str) -> Option<&'static str> {
    let stem = part.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let number = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt")).unwrap_or_default();
    let is_port = matches!(number, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³");
    match part {
        "" | "." => Some("a part of its path is empty or `.`"),
        _ if part.ends_with(['.', ' ']) => Some("a part of its path ends with a dot or a blank"),
        _ if DEVICES.contains(&stem.as_str()) || is_port => Some("a part of its path is a device's name on Windows"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z03_to_z06_and_z17_names_a_hub_refuses_are_told() {
        let (long, deep) = ("x".repeat(201), "d/".repeat(16) + "x");
        for (path, code) in [
            ("../x", Some("zip_path")),
            ("a/../b", Some("zip_path")),
            ("/etc/passwd", Some("zip_path")),
            ("C:x", Some("zip_path")),
            ("..\\x", Some("zip_path")),
            ("", Some("zip_name")),
            ("a//b", Some("zip_name")),
            ("a.", Some("zip_name")),
            ("CON.txt", Some("zip_name")),
            ("ui/lpt1", Some("zip_name")),
            ("a\u{202e}b", Some("zip_name")),
            ("\u{fffd}", Some("zip_name")),
            (&long, Some("zip_name")),
            (&deep, Some("zip_name")),
            ("ui/icon.svg", None),
            ("com10", None),
            ("Lämpchen/灯", None),
        ] {
            assert_eq!(problem(path).map(|(code, _)| code), code, "{path:?}");
        }
    }

    #[test]
    fn z09_paths_that_differ_in_capitals_only_are_told() {
        assert_eq!(twins(["Read.me", "a/x", "b", "read.me"].into_iter()), ["read.me"]);
        assert_eq!(twins(["A/x", "a/y"].into_iter()), ["a"]);
        assert_eq!(twins(["a/x", "a/y", "ab"].into_iter()), [""; 0]);
    }
}
