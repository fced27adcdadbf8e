//! Why a package was not unpacked.

use std::io;

use nix::errno::Errno;

/// Why a package was not unpacked. Names of entries are quoted and cut, so the texts are safe to show and to log.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// No bytes, or no entries.
    #[error("the package is empty; upload a ZIP with manifest.json at its root")]
    Empty,
    /// Not a ZIP, cut, or with parts that do not fit together.
    #[error("not a whole ZIP file: {0}; pack it anew")]
    Corrupt(&'static str),
    /// A path that leaves the package.
    #[error("entry {0} leaves the package; paths are relative, with `/` and without `..`")]
    Path(String),
    /// A path that is no good name on every system.
    #[error("entry {name} has a bad name: {why}")]
    Name {
        /// The name, quoted and cut.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Neither an ordinary file nor a directory, or with setuid, setgid or sticky bits.
    #[error("entry {0} is not an ordinary file or directory; links, devices and special mode bits are not taken")]
    Type(String),
    /// Two entries claim one path.
    #[error("path {0} stands twice: again, as file and as directory, or with other capitals")]
    Duplicate(String),
    /// The archive says two things about an entry.
    #[error("entry {name}: local header and central directory differ in {what}; pack it anew")]
    Mismatch {
        /// The name, quoted and cut.
        name: String,
        /// What differs.
        what: &'static str,
    },
    /// The archive, a file, or all files together are too large, or larger than declared.
    #[error("{what} is larger than {limit} bytes")]
    Size {
        /// What is too large.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// An entry that unpacks to far more than it is packed.
    #[error("entry {name} unpacks to more than {ratio} times its size; that is a bomb, not a file")]
    Ratio {
        /// The name, quoted and cut.
        name: String,
        /// The highest ratio.
        ratio: u64,
    },
    /// Two entries share bytes of the archive.
    #[error("entry {0} overlaps another part of the archive; pack it anew")]
    Overlap(String),
    /// Too many entries or directories.
    #[error("the package has more than {0} files or directories")]
    Entries(usize),
    /// An encrypted entry.
    #[error("entry {0} is encrypted; pack it without a password")]
    Encrypted(String),
    /// A compression method other than stored and deflate.
    #[error("entry {name} uses compression method {method}; only stored (0) and deflate (8) are taken")]
    Method {
        /// The name, quoted and cut.
        name: String,
        /// The method's number.
        method: u16,
    },
    /// An entry that asks for a newer ZIP than there is.
    #[error("entry {name} needs version {}.{} of ZIP; the newest is 6.3", version / 10, version % 10)]
    Version {
        /// The name, quoted and cut.
        name: String,
        /// The version times ten.
        version: u8,
    },
    /// Unpacked data with another checksum than declared.
    #[error("entry {0} is damaged: its checksum is wrong; pack or upload it anew")]
    Crc(String),
    /// No `manifest.json` at the root.
    #[error("manifest.json is not at the root of the package")]
    NoManifest,
    /// A `manifest.json` that is too large.
    #[error("manifest.json must be at most {0} bytes")]
    ManifestSize(u64),
    /// A `SIGNATURE.json` that is too large, or no file.
    #[error("SIGNATURE.json must be a file of at most {0} bytes; sign the package anew")]
    Signature(u64),
    /// No disk space, quota or inode is left.
    #[error("no space left on the device while unpacking the package")]
    DiskFull,
    /// The disk or the system failed.
    #[error("cannot {doing}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl ZipError {
    /// The machine's word: `zip_<reason>`, or `manifest_invalid` for [`ZipError::NoManifest`] and
    /// [`ZipError::ManifestSize`], `manifest_signature` for [`ZipError::Signature`]; `disk_full` and `io_error` if the package is not to blame.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "zip_empty",
            Self::Corrupt(_) => "zip_corrupt",
            Self::Path(_) => "zip_path",
            Self::Name { .. } => "zip_name",
            Self::Type(_) => "zip_type",
            Self::Duplicate(_) => "zip_duplicate",
            Self::Mismatch { .. } => "zip_mismatch",
            Self::Size { .. } => "zip_size",
            Self::Ratio { .. } => "zip_ratio",
            Self::Overlap(_) => "zip_overlap",
            Self::Entries(_) => "zip_entries",
            Self::Encrypted(_) => "zip_encrypted",
            Self::Method { .. } | Self::Version { .. } => "zip_method",
            Self::Crc(_) => "zip_crc",
            Self::NoManifest | Self::ManifestSize(_) => "manifest_invalid",
            Self::Signature(_) => "manifest_signature",
            Self::DiskFull => "disk_full",
            Self::Io { .. } => "io_error",
        }
    }

    /// The error of a system call that was to do something.
    pub(crate) fn io(doing: &'static str, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT) => Self::DiskFull,
            _ => Self::Io { doing, source },
        }
    }
}

/// A name from the archive as it may be shown: escaped, quoted, at most 80 characters.
pub(crate) fn shown(name: &[u8]) -> String {
    const MOST: usize = 80;
    let text = String::from_utf8_lossy(name);
    let cut: String = text.chars().take(MOST).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", cut.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z28_a_full_disk_is_told_from_a_failing_one() {
        for (errno, code) in [
            (Errno::ENOSPC, "disk_full"),
            (Errno::EDQUOT, "disk_full"),
            (Errno::EIO, "io_error"),
            (Errno::ENOSYS, "io_error"),
        ] {
            assert_eq!(ZipError::io("write a file", errno).code(), code, "{errno}");
        }
    }

    #[test]
    fn names_are_shown_escaped_and_cut() {
        assert_eq!(shown(b"a\x1b[2J"), "`a\\u{1b}[2J`");
        assert_eq!(shown("\u{202e}txt.exe".as_bytes()), "`\\u{202e}txt.exe`");
        assert_eq!(shown(&[0xff, b'a']), "`\u{fffd}a`");
        assert_eq!(shown(&[b'a'; 5000]).chars().count(), 83);
    }
}
