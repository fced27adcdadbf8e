//! Paths inside an image: relative, with `/`, and no way out.

use super::{ImageError, ImageLimits};
use crate::error::shown;

/// Longest name of one file: what every file system of a hub takes.
const NAME_BYTES: usize = 255;

/// A path without the `./` before it and the `/` behind it; empty for the root itself.
pub(crate) fn check<'a>(raw: &'a [u8], limits: &ImageLimits) -> Result<&'a [u8], ImageError> {
    let bad = |why| ImageError::Path { name: shown(raw), why };
    if raw.is_empty() {
        return Err(bad("it is empty"));
    }
    if raw.starts_with(b"/") {
        return Err(bad("it is absolute"));
    }
    let mut path = raw;
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    let path = path.strip_suffix(b"/").unwrap_or(path);
    if path.is_empty() || path == b"." {
        return Ok(b"");
    }
    if path.len() > limits.path_bytes || path.split(is_slash).count() > limits.depth {
        return Err(bad("it is too long or too deep"));
    }
    match path.split(is_slash).find_map(problem) {
        Some(why) => Err(bad(why)),
        None => Ok(path),
    }
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

fn problem(part: &[u8]) -> Option<&'static str> {
    match part {
        b"" => Some("it has an empty part"),
        b"." => Some("it has a part `.`"),
        b".." => Some("it has a part `..`"),
        _ if part.len() > NAME_BYTES => Some("a part is too long"),
        _ if part.contains(&0) => Some("it has a NUL byte"),
        _ => None,
    }
}

/// The paths above a path, the highest first.
pub(crate) fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at])
}

/// The directory of a path, empty for the root, and its last part.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(is_slash) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_inside_is_taken_and_nothing_else() {
        let limits = ImageLimits::default();
        for (raw, path) in [("a", "a"), ("./a/b/", "a/b"), ("./", ""), (".", ""), ("a..b/.c", "a..b/.c")] {
            assert_eq!(check(raw.as_bytes(), &limits).unwrap(), path.as_bytes(), "{raw}");
        }
        let (deep, long, name) = ("a/".repeat(65), "a".repeat(255) + "/" + &"b/".repeat(400), "a".repeat(256));
        for raw in ["", "/", "/etc/x", "//x", "../x", "a/../b", "a/..", "..", "a//b", "a/./b", &deep, &long, &name] {
            assert_eq!(check(raw.as_bytes(), &limits).unwrap_err().code(), "image_path", "{raw}");
        }
        assert!(check(b"a\0b", &limits).is_err());
    }

    #[test]
    fn a_path_has_parents_and_a_last_part() {
        assert_eq!(parents(b"a/b/c").collect::<Vec<_>>(), [&b"a"[..], b"a/b"]);
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
    }
}
