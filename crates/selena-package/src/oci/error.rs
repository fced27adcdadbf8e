//! Why an image was not taken.

use std::io;

use nix::errno::Errno;

/// Why an image was not taken. Names from inside are quoted and cut, so the texts are safe to show and to log.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not a tar, cut, or with parts that do not fit together.
    #[error("image.tar is not a whole image: {0}; export it anew")]
    Corrupt(String),
    /// A JSON document in it is too large, ambiguous, or not what it has to be.
    #[error("the document {name} of image.tar is not good: {why}")]
    Document {
        /// Which one, quoted and cut.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A path that leaves the image, leads through a link, or is no good name.
    #[error("entry {name} of the image has a bad path: {why}")]
    Path {
        /// The path, quoted and cut.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Neither file, directory nor link.
    #[error("entry {name} of the image is {what}, which no image may hold; remove it and export the image anew")]
    Type {
        /// The path, quoted and cut.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// More bytes than an image may have.
    #[error("{what} more than {limit} bytes")]
    Size {
        /// What is too large, with its verb.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// A layer that unpacks to far more than it is packed.
    #[error("a layer of the image unpacks to more than {0} times its size; that is a bomb, not a layer")]
    Ratio(u64),
    /// Too many entries, layers, or documents.
    #[error("the image has more than {limit} {what}")]
    Entries {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Content with another digest than it is named by.
    #[error("{0} of the image is damaged: its SHA-256 is not the one it is named by; export the image anew")]
    Digest(String),
    /// A form of document or layer that is not taken.
    #[error("media type {0} is not taken: export the image with plain or gzip layers (no zstd, no foreign layers)")]
    Media(String),
    /// An image for other machines.
    #[error(
        "the image is for {found}; this hub runs linux/{expected} images: build it with `--platform linux/{expected}`"
    )]
    Platform {
        /// The hub's architecture, in the words of images.
        expected: String,
        /// What the image is for.
        found: String,
    },
    /// More than one image.
    #[error("image.tar holds {0} images, and the hub does not guess: export one image, for one platform")]
    Ambiguous(usize),
    /// A configuration that does not say what to start, or in words no container takes.
    #[error("the configuration of the image is not good: {0}")]
    Config(&'static str),
    /// No disk space, quota or inode is left.
    #[error("no space left on the device while unpacking the image")]
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

impl ImageError {
    /// The machine's word: `image_<reason>`; `module_image_error` for another machine's image (fault R04); `disk_full`
    /// and `io_error` if the image is not to blame.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Corrupt(_) => "image_corrupt",
            Self::Document { .. } => "image_document",
            Self::Path { .. } => "image_path",
            Self::Type { .. } => "image_type",
            Self::Size { .. } => "image_size",
            Self::Ratio(_) => "image_ratio",
            Self::Entries { .. } => "image_entries",
            Self::Digest(_) => "image_digest",
            Self::Media(_) => "image_media",
            Self::Platform { .. } => "module_image_error",
            Self::Ambiguous(_) => "image_ambiguous",
            Self::Config(_) => "image_config",
            Self::DiskFull => "disk_full",
            Self::Io { .. } => "io_error",
        }
    }

    pub(crate) fn corrupt(why: impl Into<String>) -> Self {
        Self::Corrupt(why.into())
    }

    /// What a reader of this module reported: its own error, which travelled as an IO error, or the system's.
    pub(crate) fn io(doing: &'static str, source: io::Error) -> Self {
        let source = match source.downcast::<Self>() {
            Ok(own) => return own,
            Err(source) => source,
        };
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT) => Self::DiskFull,
            _ if source.kind() == io::ErrorKind::UnexpectedEof => Self::corrupt("it ends too early"),
            _ => Self::Io { doing, source },
        }
    }
}

impl From<ImageError> for io::Error {
    fn from(error: ImageError) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_error_survives_a_reader_and_a_full_disk_is_told() {
        let travelled = ImageError::io("read", ImageError::Ratio(100).into());
        assert_eq!(travelled.code(), "image_ratio");
        let full = io::Error::from_raw_os_error(Errno::ENOSPC as i32);
        assert_eq!(ImageError::io("write", full).code(), "disk_full");
        assert_eq!(ImageError::io("write", io::Error::other("x")).code(), "io_error");
    }
}
