//! What must hold whatever image is flattened (protocol, section 4, row `oci`; faults, series Z).

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

use selena_package::oci::{Image, ImageError, ImageLimits};
use tar::EntryType;

use crate::place::Place;

#[expect(dead_code, reason = "the tests forge more than the seeds need")]
#[path = "../../selena-package/tests/oci/forge.rs"]
pub(crate) mod forge;

/// Size of a block of a tar in bytes.
const BLOCK: usize = 512;
/// Where a header has its checksum.
const CHECKSUM: std::ops::Range<usize> = 148..156;
/// Longest message; a name in it is cut.
const MAX_MESSAGE: usize = 1000;

thread_local! {
    static PLACE: Place = Place::new();
}

fn limits() -> ImageLimits {
    ImageLimits {
        total_bytes: 256 * 1024,
        ratio_from_bytes: 64 * 1024,
        layers: 4,
        parts: 64,
        entries: 64,
        names_bytes: 4096,
        document_bytes: 8192,
        ..ImageLimits::default()
    }
}

/// An image from arbitrary bytes: the first one says whether they are the whole `image.tar`, one layer, or two.
/// Layers are put into a good image, with good digests and checksums: what is at fault then is what they hold.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> Vec<u8> {
    let Some((form, rest)) = bytes.split_first() else { return Vec::new() };
    let middle = rest.len() / 2 / BLOCK * BLOCK;
    match form % 4 {
        0 => with_checksums(rest),
        1 => forge::Forge::new(vec![with_checksums(rest)]).oci(),
        2 => forge::Forge::new(vec![with_checksums(&rest[..middle]), with_checksums(&rest[middle..])]).oci(),
        _ => forge::Forge { gzip: false, ..forge::Forge::new(vec![with_checksums(rest)]) }.docker(),
    }
}

/// The tar with the right checksum in each block that calls itself a header, and with an end.
fn with_checksums(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    tar.resize(tar.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    for block in tar.chunks_exact_mut(BLOCK).filter(|block| block[257..].starts_with(b"ustar")) {
        block[CHECKSUM].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    tar
}

/// Flattens an image and checks what comes of it.
///
/// # Panics
/// If a rule is broken.
pub fn check(image: &[u8]) {
    let outcome = PLACE.with(|place| flatten(&place.file(image)));
    match outcome {
        Ok((first, second)) => {
            assert!(first == second, "the same image was flattened in two ways");
            check_flat(&first);
        }
        Err(error) => check_refused(&error),
    }
}

fn flatten(file: &std::fs::File) -> Result<(Vec<u8>, Vec<u8>), ImageError> {
    let limits = limits();
    let once = || {
        let mut output = Bounded { bytes: Vec::new(), most: most_bytes(&limits) };
        Image::open(file, &limits)?.flatten(&mut output)?;
        Ok(output.bytes)
    };
    Ok((once()?, once()?))
}

/// What a flattened image may have: the files, and for each entry two headers and a name of several blocks, twice.
fn most_bytes(limits: &ImageLimits) -> usize {
    usize::try_from(limits.total_bytes).unwrap_or(usize::MAX) + (limits.entries + 16) * 8 * BLOCK
}

/// Memory that takes no more than it may.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        assert!(self.bytes.len() <= self.most, "more than {} bytes were written", self.most);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn check_refused(error: &ImageError) {
    let (code, message) = (error.code(), error.to_string());
    let known = code.starts_with("image_") || code == "module_image_error";
    assert!(known, "the image is not to blame: {code}: {message}");
    assert!(message.len() < MAX_MESSAGE && !message.contains(char::is_control), "not fit to be shown: {message:?}");
}

/// What an engine would import, in the words of another reader of tars.
fn check_flat(flat: &[u8]) {
    let mut kinds: BTreeMap<Vec<u8>, EntryType> = BTreeMap::new();
    let mut total = 0;
    for entry in tar::Archive::new(flat).entries().expect("what was written is a tar") {
        let mut entry = entry.expect("what was written is a whole tar");
        if let Some(extensions) = entry.pax_extensions().expect("extended headers are whole") {
            for extension in extensions {
                let key = extension.expect("an extension is whole").key().expect("keys are text").to_owned();
                assert!(matches!(key.as_str(), "path" | "linkpath"), "the extension {key} got through");
            }
        }
        let path = entry.path_bytes().strip_suffix(b"/").map_or(entry.path_bytes().to_vec(), <[u8]>::to_vec);
        let kind = entry.header().entry_type();
        check_header(entry.header(), &path);
        check_place(&kinds, &path, kind);
        if kind == EntryType::Link {
            let names = entry.link_name_bytes().expect("a link names something").to_vec();
            assert_eq!(kinds.get(&names), Some(&EntryType::Regular), "a hard link to no file that stands before it");
        }
        total += entry.read_to_end(&mut Vec::new()).expect("content is whole");
        let twice = kinds.insert(path, kind);
        assert_eq!(twice, None, "a path stands twice");
    }
    assert!(total as u64 <= limits().total_bytes, "{total} bytes of content");
    for place in [&b"tmp"[..], b"data", b"selena/package"] {
        assert_eq!(kinds.get(place), Some(&EntryType::Directory), "no directory to mount over");
    }
}

fn check_header(header: &tar::Header, path: &[u8]) {
    let mode = header.mode().expect("a mode is a number");
    let sticky_directory = header.entry_type() == EntryType::Directory && mode & 0o7000 == 0o1000;
    assert!(mode & 0o7000 == 0 || sticky_directory, "{:?} has mode {mode:o}", String::from_utf8_lossy(path));
    assert_eq!((header.uid().ok(), header.gid().ok()), (Some(0), Some(0)), "a file of somebody else's");
}

/// The path is relative, and all above it are directories that stand before it.
fn check_place(kinds: &BTreeMap<Vec<u8>, EntryType>, path: &[u8], kind: EntryType) {
    let shown = String::from_utf8_lossy(path);
    let known = [EntryType::Regular, EntryType::Directory, EntryType::Symlink, EntryType::Link];
    assert!(known.contains(&kind), "{shown:?} is {kind:?}");
    assert!(!path.contains(&0), "{shown:?}");
    let parts: Vec<_> = path.split(|byte| *byte == b'/').collect();
    assert!(parts.iter().all(|part| !matches!(*part, b"" | b"." | b"..")), "{shown:?} leaves the image");
    for end in path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end) {
        assert_eq!(kinds.get(&path[..end]), Some(&EntryType::Directory), "{shown:?} lies in no directory");
    }
}
