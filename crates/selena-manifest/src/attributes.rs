//! Modes, owners, types and link targets of what is watched: `core.attrs`, by path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{WatchedPath, unique};

/// What a watched path is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// A regular file; its SHA-256 stands in the manifest.
    File {
        /// Its length; a longer one is not it, and need not be hashed to know.
        bytes: u64,
        /// Whether it has no second name (hard link), by which it could be written from elsewhere.
        single_name: bool,
    },
    /// A directory; whatever lies in it and is not listed is a violation.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points, as it is stored in the link.
        target: String,
    },
}

impl Kind {
    /// Its name.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Directory => "directory",
            Self::Symlink { .. } => "symlink",
        }
    }
}

/// A watched path, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entry {
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// Permission bits with set-user-id, set-group-id and sticky; in text four octal digits.
    #[serde(with = "octal")]
    pub mode: u32,
    /// User id of the owner.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// All watched paths and what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<WatchedPath, Entry>);

/// Why bytes are no attributes.
#[derive(Debug, thiserror::Error)]
#[error("the attributes are not as they should be")]
pub struct AttributesError(#[source] serde_json::Error);

impl Attributes {
    /// The attributes of these paths.
    #[must_use]
    pub fn new(entries: BTreeMap<WatchedPath, Entry>) -> Self {
        Self(entries)
    }

    /// Reads attributes, whose bytes were found to be those of the manifest.
    ///
    /// # Errors
    /// [`AttributesError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AttributesError> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let entries = unique::by_path(&mut reader).map_err(AttributesError)?;
        reader.end().map_err(AttributesError)?;
        Ok(Self(entries))
    }

    /// As they are stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(&self.0).expect("paths and attributes are text and numbers");
        bytes.push(b'\n');
        bytes
    }

    /// What a path has to be; `None` if it is not watched.
    #[must_use]
    pub fn get(&self, path: &WatchedPath) -> Option<&Entry> {
        self.0.get(path)
    }

    /// All watched paths, sorted: a directory before what lies in it.
    pub fn entries(&self) -> impl Iterator<Item = (&WatchedPath, &Entry)> {
        self.0.iter()
    }
}

/// Modes are read by people in octal digits.
mod octal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{mode:04o}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o7777 && !text.starts_with('+'));
        mode.ok_or_else(|| D::Error::custom("a mode is up to four octal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let path = |text| WatchedPath::new(text).expect("a path");
        let entry = |kind| Entry { kind, mode: 0o4755, uid: 0, gid: 7 };
        let attributes = Attributes::new(BTreeMap::from([
            (path("/d"), entry(Kind::Directory)),
            (path("/d/f"), entry(Kind::File { bytes: 1, single_name: true })),
            (path("/d/l"), entry(Kind::Symlink { target: "../x".to_owned() })),
        ]));
        let bytes = attributes.to_bytes();
        assert_eq!(Attributes::parse(&bytes).expect("its own"), attributes);
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.contains(r#""/d/l":{"type":"symlink","target":"../x","mode":"4755","uid":0,"gid":7}"#), "{text}");
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            "",
            "[]",
            r#"{"/a":{"type":"file","mode":"0644","uid":0,"gid":0}}"#,
            r#"{"/a":{"type":"socket","mode":"0644","uid":0,"gid":0}}"#,
            r#"{"/a":{"type":"directory","mode":"99","uid":0,"gid":0}}"#,
            r#"{"/a":{"type":"directory","mode":"17777","uid":0,"gid":0}}"#,
            r#"{"/a/..":{"type":"directory","mode":"0755","uid":0,"gid":0}}"#,
        ] {
            assert!(Attributes::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
