//! Paths of watched files.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

/// Longest path, as the kernel's `PATH_MAX` has it.
const MAX_BYTES: usize = 4095;

/// An absolute path without `.`, `..`, empty parts, control characters or a `/` at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct WatchedPath(String);

/// Why a path cannot be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin at the root.
    #[error("a watched path is absolute")]
    Relative,
    /// It can be written in another way.
    #[error("a watched path has no `.`, `..` or empty parts, and no `/` at its end")]
    NotNormal,
    /// It cannot be shown on one line, or in JSON.
    #[error("a watched path is UTF-8 without control characters")]
    NotText,
    /// It is longer than the kernel takes.
    #[error("a watched path has at most 4095 bytes")]
    TooLong,
}

impl WatchedPath {
    /// Checks a path.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn new(path: &str) -> Result<Self, PathError> {
        let Some(inner) = path.strip_prefix('/') else { return Err(PathError::Relative) };
        if path.len() > MAX_BYTES {
            return Err(PathError::TooLong);
        }
        if path.chars().any(char::is_control) {
            return Err(PathError::NotText);
        }
        if inner.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(PathError::NotNormal);
        }
        Ok(Self(path.to_owned()))
    }

    /// Checks a path of the operating system.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn from_path(path: &Path) -> Result<Self, PathError> {
        Self::new(path.to_str().ok_or(PathError::NotText)?)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a path of the operating system.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Whether it is `directory` or lies somewhere in it.
    #[must_use]
    pub fn is_within(&self, directory: &Self) -> bool {
        self.as_path().starts_with(directory.as_path())
    }

    /// Its name and the directory it lies in; `None` if that is the root, which cannot be watched.
    #[must_use]
    pub fn split(&self) -> Option<(&str, &str)> {
        self.0.rsplit_once('/').filter(|(directory, _)| !directory.is_empty())
    }
}

impl TryFrom<String> for WatchedPath {
    type Error = PathError;

    fn try_from(path: String) -> Result<Self, PathError> {
        Self::new(&path)
    }
}

impl From<WatchedPath> for String {
    fn from(path: WatchedPath) -> Self {
        path.0
    }
}

impl fmt::Display for WatchedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_way_to_be_written() {
        for good in ["/a", "/usr/lib/selena/x.so", "/a/..b", "/a b/ü"] {
            assert_eq!(WatchedPath::new(good).expect(good).as_str(), good);
        }
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for (bad, why) in [
            ("", PathError::Relative),
            ("a", PathError::Relative),
            ("../etc/shadow", PathError::Relative),
            ("/", PathError::NotNormal),
            ("/a/", PathError::NotNormal),
            ("/a//b", PathError::NotNormal),
            ("/a/./b", PathError::NotNormal),
            ("/a/../b", PathError::NotNormal),
            ("/a\n", PathError::NotText),
            ("/a\0", PathError::NotText),
            (&long, PathError::TooLong),
        ] {
            assert_eq!(WatchedPath::new(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn within_is_by_parts() {
        let path = |text| WatchedPath::new(text).expect("a path");
        assert!(path("/a/b").is_within(&path("/a")) && path("/a").is_within(&path("/a")));
        assert!(!path("/ab").is_within(&path("/a")) && !path("/a").is_within(&path("/a/b")));
    }
}
