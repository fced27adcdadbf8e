//! Images of strangers, through the crate's one door (protocol, section 4, row `oci`).

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod documents;
mod forge;
mod hostile;
mod layers;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Write},
};

use selena_package::oci::{Flattened, Image, ImageError, ImageLimits};

/// What stands at a path of a flattened image: its type, its mode, and its content or what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    kind: tar::EntryType,
    mode: u32,
    text: String,
}

/// A flattened image.
#[derive(Debug)]
pub(crate) struct Flat {
    seen: BTreeMap<String, Seen>,
    /// In the order of the tar.
    order: Vec<String>,
    told: Flattened,
}

impl Flat {
    /// What a file holds, and a hard link's file too.
    #[track_caller]
    fn text(&self, path: &str) -> &str {
        let seen = self.seen.get(path).unwrap_or_else(|| panic!("no `{path}` in {:?}", self.seen.keys()));
        if seen.kind == tar::EntryType::Link { self.text(&seen.text) } else { &seen.text }
    }

    fn has(&self, path: &str) -> bool {
        self.seen.contains_key(path)
    }
}

fn as_file(image: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(image).unwrap();
    file
}

fn try_flatten(image: &[u8]) -> Result<Flat, ImageError> {
    let (file, limits) = (as_file(image), ImageLimits::default());
    let mut flat = Vec::new();
    let told = Image::open(&file, &limits)?.flatten(&mut flat)?;
    let (mut seen, mut order) = (BTreeMap::new(), Vec::new());
    for entry in tar::Archive::new(flat.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/').to_owned();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0), "{path}");
        let (kind, mode) = (header.entry_type(), header.mode().unwrap());
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        if let Some(names) = entry.link_name_bytes() {
            text = String::from_utf8_lossy(&names).into_owned();
        }
        order.push(path.clone());
        assert_eq!(seen.insert(path.clone(), Seen { kind, mode, text }), None, "`{path}` stands twice");
    }
    Ok(Flat { seen, order, told })
}

#[track_caller]
fn flatten(image: &[u8]) -> Flat {
    try_flatten(image).unwrap_or_else(|error| panic!("{error}"))
}

/// The code and the text an image is refused with.
#[track_caller]
fn refused(image: &[u8], code: &str) -> String {
    match try_flatten(image) {
        Ok(flat) => panic!("it was taken: {:?}", flat.order),
        Err(error) => {
            assert_eq!(error.code(), code, "{error}");
            error.to_string()
        }
    }
}
