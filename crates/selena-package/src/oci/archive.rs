//! `image.tar` itself: where its parts lie. Nothing is unpacked to see that.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    ImageError, ImageLimits,
    digest::Digest,
    path,
    tar_reader::{Input, Kind, TarReader},
};
use crate::error::shown;

/// Longest reason why a document is not good.
const MAX_REASON_CHARS: usize = 200;

/// A part of a file, read by position: what the file's path names now, and its cursor, play no role.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Part<'_> {
    /// Bytes that were not read yet.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Input for Part<'_> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.at += bytes;
        Ok(())
    }
}

/// What a name of the archive stands for.
#[derive(Clone, Copy, Debug)]
enum Place {
    File { at: u64, size: u64 },
    Link,
}

/// The parts of `image.tar` by their names.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    file: &'a File,
    limits: &'a ImageLimits,
    places: BTreeMap<String, Place>,
}

impl<'a> Archive<'a> {
    /// Reads the headers of the archive.
    pub(crate) fn open(file: &'a File, limits: &'a ImageLimits) -> Result<Self, ImageError> {
        let metadata = file.metadata().map_err(|error| ImageError::io("look at image.tar", error))?;
        if !metadata.is_file() {
            return Err(ImageError::corrupt("it is not a file"));
        }
        let size = metadata.len();
        let mut reader = TarReader::new(Part { file, at: 0, left: size });
        let mut archive = Self { file, limits, places: BTreeMap::new() };
        let mut parts = 0;
        while let Some(entry) = reader.next()? {
            parts += 1;
            if parts > limits.parts {
                return Err(ImageError::Entries { what: "parts", limit: limits.parts });
            }
            let name = path::check(&entry.path, limits)?;
            let at = size - reader.input().left();
            let place = match entry.kind {
                Kind::Directory => continue,
                Kind::File if entry.size > size - at => return Err(ImageError::corrupt("it ends too early")),
                Kind::File => Place::File { at, size: entry.size },
                // Older exports write a layer that stands twice as a link. Only one that is needed is refused.
                Kind::Symlink | Kind::HardLink => Place::Link,
                Kind::Other(what) => return Err(ImageError::Type { name: shown(name), what }),
            };
            archive.add(name, place)?;
        }
        Ok(archive)
    }

    fn add(&mut self, name: &[u8], place: Place) -> Result<(), ImageError> {
        let text =
            std::str::from_utf8(name).map_err(|_| ImageError::Path { name: shown(name), why: "it is no UTF-8" })?;
        match self.places.insert(text.to_owned(), place) {
            None => Ok(()),
            Some(_) => Err(ImageError::corrupt(format!("{} stands in it twice", shown(name)))),
        }
    }

    /// Whether there is a part of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// A part of that name.
    pub(crate) fn part(&self, name: &str) -> Result<Part<'a>, ImageError> {
        let name_shown = || shown(name.as_bytes());
        match self.places.get(name) {
            Some(Place::File { at, size }) => Ok(Part { file: self.file, at: *at, left: *size }),
            Some(Place::Link) => Err(ImageError::Type { name: name_shown(), what: "a link in image.tar" }),
            None => Err(ImageError::corrupt(format!("{} is not in it", name_shown()))),
        }
    }

    /// The bytes of a JSON document, at most [`ImageLimits::document_bytes`].
    pub(crate) fn document(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut part = self.part(name)?;
        if part.left() > self.limits.document_bytes {
            let why = format!("it has more than {} bytes", self.limits.document_bytes);
            return Err(ImageError::Document { name: shown(name.as_bytes()), why });
        }
        let mut text = Vec::new();
        part.read_to_end(&mut text).map_err(|error| ImageError::io("read image.tar", error))?;
        Ok(text)
    }

    /// A document that is named by its digest.
    pub(crate) fn document_with(&self, name: &str, digest: Digest) -> Result<Vec<u8>, ImageError> {
        let text = self.document(name)?;
        if Digest::of(&text) == digest { Ok(text) } else { Err(ImageError::Digest(shown(name.as_bytes()))) }
    }
}

/// Reads a document in which no key stands twice and nothing is nested deep.
pub(crate) fn read_json<T: DeserializeOwned>(name: &str, text: &[u8]) -> Result<T, ImageError> {
    // The reasons quote the document, which may be long.
    let cut = |why: String| why.chars().take(MAX_REASON_CHARS).collect();
    let bad = |why: String| ImageError::Document { name: shown(name.as_bytes()), why: cut(why) };
    let value: Value = selena_types::json::parse_unambiguous(text).map_err(|error| bad(error.to_string()))?;
    serde_json::from_value(value).map_err(|error| bad(error.to_string()))
}
