//! How what is there differs from what should be.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Digest, Entry, Kind, WatchedPath};

/// In what a path differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The content.
    Changed,
    /// It is not there.
    Missing,
    /// It is there and not listed, in a directory that is.
    Unexpected,
    /// It is something else, such as a link in place of a file.
    Type,
    /// The permission bits.
    Mode,
    /// User or group.
    Owner,
    /// Where a symbolic link points.
    LinkTarget,
    /// A file has got a second name.
    Links,
    /// It cannot be examined.
    Unreadable,
    /// A file of the baseline itself is not the signed one.
    Tampered,
}

/// A path that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Violation {
    /// Its path; characters that are no text are replaced.
    pub file: String,
    /// What it should be, in the terms of `kind`; `None` for what should not be there.
    pub expected: Option<String>,
    /// What it is; `None` for what is missing.
    pub actual: Option<String>,
    /// In what it differs.
    pub kind: Difference,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub kind: SeenKind,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// User id of the owner.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What can be at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenKind {
    /// A regular file.
    File {
        /// Of its content; `None` if it is too long to be what it should be, and was not read.
        digest: Option<Digest>,
        /// Its length.
        bytes: u64,
        /// How many names it has.
        links: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points; characters that are no text are replaced.
        target: String,
    },
    /// What is never opened: a device, a pipe, a socket.
    Special(&'static str),
}

impl SeenKind {
    fn word(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Directory => "directory",
            Self::Symlink { .. } => "symlink",
            Self::Special(word) => word,
        }
    }
}

/// All differences of a path that is there; `digest` is the one of the manifest, for a file.
#[must_use]
pub fn compare(path: &WatchedPath, entry: &Entry, digest: Option<Digest>, seen: &Seen) -> Vec<Violation> {
    let differs = |kind, expected: String, actual: String| {
        let (expected, actual) = (Some(expected), Some(actual));
        Violation { file: path.to_string(), expected, actual, kind }
    };
    let mut found = Vec::new();
    match (&entry.kind, &seen.kind) {
        (Kind::File { single_name, .. }, SeenKind::File { digest: actual, bytes, links }) => {
            if let Some(expected) = digest.filter(|expected| *actual != Some(*expected)) {
                let actual = actual.map_or_else(|| format!("{bytes} bytes"), |actual| actual.to_string());
                found.push(differs(Difference::Changed, expected.to_string(), actual));
            }
            if *single_name && *links != 1 {
                found.push(differs(Difference::Links, "1 name".to_owned(), format!("{links} names")));
            }
        }
        (Kind::Directory, SeenKind::Directory) => {}
        (Kind::Symlink { target }, SeenKind::Symlink { target: actual }) => {
            if target != actual {
                found.push(differs(Difference::LinkTarget, target.clone(), actual.clone()));
            }
        }
        (expected, actual) => {
            // A different thing has its own mode and owner: nothing is said by comparing them.
            return vec![differs(Difference::Type, expected.word().to_owned(), actual.word().to_owned())];
        }
    }
    let is_link = matches!(seen.kind, SeenKind::Symlink { .. });
    if !is_link && entry.mode != seen.mode {
        found.push(differs(Difference::Mode, format!("{:04o}", entry.mode), format!("{:04o}", seen.mode)));
    }
    if (entry.uid, entry.gid) != (seen.uid, seen.gid) {
        let (expected, actual) = (format!("{}:{}", entry.uid, entry.gid), format!("{}:{}", seen.uid, seen.gid));
        found.push(differs(Difference::Owner, expected, actual));
    }
    found
}

/// A path that is not there.
#[must_use]
pub fn missing(path: &WatchedPath, entry: &Entry, digest: Option<Digest>) -> Violation {
    let expected = digest.map_or_else(|| entry.kind.word().to_owned(), |digest| digest.to_string());
    Violation { file: path.to_string(), expected: Some(expected), actual: None, kind: Difference::Missing }
}

/// A path that cannot be examined, and why.
#[must_use]
pub fn unreadable(path: &str, why: &str) -> Violation {
    let (expected, actual) = (Some("readable".to_owned()), Some(why.to_owned()));
    Violation { file: path.to_owned(), expected, actual, kind: Difference::Unreadable }
}

/// What there is at a path where nothing should be; `seen` is `None` if that cannot be told.
#[must_use]
pub fn unexpected(path: String, seen: Option<&SeenKind>) -> Violation {
    let actual = match seen {
        Some(SeenKind::File { digest: Some(digest), .. }) => digest.to_string(),
        Some(SeenKind::File { bytes, .. }) => format!("{bytes} bytes"),
        Some(other) => other.word().to_owned(),
        None => "not readable".to_owned(),
    };
    Violation { file: path, expected: None, actual: Some(actual), kind: Difference::Unexpected }
}

/// A file of the baseline that is not the signed one, and why.
#[must_use]
pub fn tampered(file: String, why: String) -> Violation {
    let expected = Some("the signed baseline".to_owned());
    Violation { file, expected, actual: Some(why), kind: Difference::Tampered }
}

/// Of the names in a listed directory those that should not be there; `is_watched` tells of a path whether it is listed.
pub fn compare_listing(
    names: impl IntoIterator<Item = String>,
    directory: &WatchedPath,
    is_watched: impl Fn(&WatchedPath) -> bool,
) -> BTreeSet<String> {
    let path = |name: String| format!("{directory}/{name}");
    names.into_iter().map(path).filter(|path| !WatchedPath::new(path).is_ok_and(|path| is_watched(&path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Kind = Kind::File { bytes: 1, single_name: true };

    fn check(kind: Kind, seen: SeenKind, (mode, uid): (u32, u32)) -> Vec<(Difference, String, String)> {
        let entry = Entry { kind, mode: 0o644, uid: 0, gid: 0 };
        let seen = Seen { kind: seen, mode, uid, gid: 0 };
        let path = WatchedPath::new("/a").expect("a path");
        let told = compare(&path, &entry, Some(Digest::of(b"a")), &seen);
        told.into_iter().map(|it| (it.kind, it.expected.expect("told"), it.actual.expect("told"))).collect()
    }

    fn file(content: &[u8], links: u64) -> SeenKind {
        SeenKind::File { digest: Some(Digest::of(content)), bytes: 1, links }
    }

    #[test]
    fn equal_is_equal() {
        assert_eq!(check(FILE, file(b"a", 1), (0o644, 0)), []);
        assert_eq!(check(Kind::File { bytes: 1, single_name: false }, file(b"a", 3), (0o644, 0)), []);
        assert_eq!(check(Kind::Directory, SeenKind::Directory, (0o644, 0)), []);
        let (link, seen) = (Kind::Symlink { target: "b".into() }, SeenKind::Symlink { target: "b".into() });
        assert_eq!(check(link, seen, (0o777, 0)), [], "a link's mode means nothing");
    }

    #[test]
    fn every_difference_is_told_with_both_sides() {
        let (a, b) = (Digest::of(b"a").to_string(), Digest::of(b"b").to_string());
        let told = |kind, expected: &str, actual: &str| (kind, expected.to_owned(), actual.to_owned());
        assert_eq!(check(FILE, file(b"b", 1), (0o644, 0)), [told(Difference::Changed, &a, &b)]);
        let huge = SeenKind::File { digest: None, bytes: 1 << 40, links: 1 };
        assert_eq!(check(FILE, huge, (0o644, 0)), [told(Difference::Changed, &a, "1099511627776 bytes")]);
        assert_eq!(check(FILE, file(b"a", 2), (0o644, 0)), [told(Difference::Links, "1 name", "2 names")]);
        assert_eq!(check(FILE, file(b"a", 1), (0o4644, 0)), [told(Difference::Mode, "0644", "4644")]);
        assert_eq!(check(FILE, file(b"a", 1), (0o644, 7)), [told(Difference::Owner, "0:0", "7:0")]);
        assert_eq!(check(FILE, SeenKind::Special("pipe"), (0, 7)), [told(Difference::Type, "file", "pipe")]);
        let (link, seen) = (Kind::Symlink { target: "b".into() }, SeenKind::Symlink { target: "c".into() });
        assert_eq!(check(link, seen, (0o777, 0)), [told(Difference::LinkTarget, "b", "c")]);
        assert_eq!(check(FILE, file(b"b", 2), (0o600, 7)).len(), 4);
    }

    #[test]
    fn names_that_are_no_paths_are_unexpected() {
        let directory = WatchedPath::new("/d").expect("a path");
        let names = ["known".to_owned(), "new".to_owned(), "line\nbreak".to_owned()];
        let found = compare_listing(names, &directory, |path| path.as_str() == "/d/known");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["/d/line\nbreak", "/d/new"]);
    }
}
