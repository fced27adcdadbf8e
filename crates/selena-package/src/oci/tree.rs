//! The files that all layers together make, in memory: paths and where their content lies, never the content itself.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ImageError, ImageLimits, path,
    tar_reader::{Entry, Kind},
};
use crate::error::shown;

/// Name of a file that says that what its name goes on with is gone from the layers below.
const WHITEOUT: &[u8] = b".wh.";
/// Says that all of its directory is gone from the layers below.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Notes of a file system of its own, which mean nothing elsewhere.
const NOTES: &[u8] = b".wh..wh.";
/// Directories where the hub mounts something over whatever the image has there, and their modes.
const MOUNT_POINTS: [(&str, u32); 7] = [
    ("data", 0o755),
    ("dev", 0o755),
    ("proc", 0o755),
    ("selena", 0o755),
    ("sys", 0o755),
    // What is mounted at /tmp gets the mode of the directory below it, whatever its own option says.
    ("tmp", 0o1777),
    ("selena/package", 0o755),
];
/// Files that the hub mounts a file over.
const MOUNT_FILES: [&str; 2] = ["selena/init", "etc/passwd"];
const PLAIN_DIRECTORY: u32 = 0o755;

/// Where a file's content lies: the layer, and the number of its entry there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId {
    pub(crate) layer: usize,
    pub(crate) entry: usize,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A directory with its mode.
    Directory(u32),
    /// A file; several paths may share one.
    File(FileId),
    /// A file without content, which the hub puts there.
    Empty,
    /// A symbolic link with what it names. Nothing here ever follows it.
    Symlink(Box<[u8]>),
}

#[derive(Debug)]
struct Placed {
    /// The layer that put it there, or something below it.
    layer: usize,
    node: Node,
}

/// All paths.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    limits: &'a ImageLimits,
    nodes: BTreeMap<Box<[u8]>, Placed>,
    /// Whiteouts of the layer that is being applied.
    whiteouts: BTreeSet<Box<[u8]>>,
    layer: usize,
    entries: usize,
    paths: usize,
    names_bytes: usize,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(limits: &'a ImageLimits) -> Self {
        let (nodes, whiteouts) = (BTreeMap::new(), BTreeSet::new());
        Self { limits, nodes, whiteouts, layer: 0, entries: 0, paths: 0, names_bytes: 0 }
    }

    /// What follows is of this layer.
    pub(crate) fn begin(&mut self, layer: usize) {
        self.layer = layer;
        self.whiteouts.clear();
    }

    /// Applies the entry with this number of the current layer.
    pub(crate) fn apply(&mut self, number: usize, entry: &Entry) -> Result<(), ImageError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.too_many());
        }
        let path = path::check(&entry.path, self.limits)?;
        if let Kind::Other(what) = entry.kind {
            return Err(ImageError::Type { name: shown(path), what });
        }
        let (directory, name) = path::split(path);
        if name.starts_with(WHITEOUT) {
            return self.white_out(directory, name);
        }
        if path.is_empty() {
            return Ok(());
        }
        let file = Node::File(FileId { layer: self.layer, entry: number });
        match entry.kind {
            Kind::Directory => self.put_directory(path, entry.mode),
            Kind::File => self.put(path, file),
            Kind::Symlink => self.put(path, Node::Symlink(link_text(path, &entry.link)?)),
            Kind::HardLink => {
                let node = self.linked(path, &entry.link)?;
                self.put(path, node)
            }
            Kind::Other(_) => Ok(()),
        }
    }

    /// Makes the places where the hub mounts something what they have to be, whatever the image has there.
    pub(crate) fn add_mount_points(&mut self) -> Result<(), ImageError> {
        for (path, mode) in MOUNT_POINTS {
            self.remove_all(path.as_bytes());
            self.put(path.as_bytes(), Node::Directory(mode))?;
        }
        MOUNT_FILES.iter().try_for_each(|path| self.put(path.as_bytes(), Node::Empty))
    }

    /// All paths in byte order, so that a directory comes before what is in it.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.nodes.iter().map(|(path, placed)| (&**path, &placed.node))
    }

    fn put_directory(&mut self, path: &[u8], mode: u32) -> Result<(), ImageError> {
        match self.nodes.get_mut(path) {
            Some(Placed { layer, node: Node::Directory(known) }) => {
                (*layer, *known) = (self.layer, mode);
                self.make_parents(path)
            }
            _ => self.put(path, Node::Directory(mode)),
        }
    }

    fn put(&mut self, path: &[u8], node: Node) -> Result<(), ImageError> {
        self.make_parents(path)?;
        self.remove_all(path);
        self.insert(path, node)
    }

    /// Makes the directories above a path. A file or a link in their place is refused: other programs would follow it.
    fn make_parents(&mut self, path: &[u8]) -> Result<(), ImageError> {
        for parent in path::parents(path) {
            match self.nodes.get_mut(parent) {
                Some(Placed { layer, node: Node::Directory(_) }) => *layer = self.layer,
                Some(_) => return Err(leads_through(path)),
                None => self.insert(parent, Node::Directory(PLAIN_DIRECTORY))?,
            }
        }
        Ok(())
    }

    /// What is ever put in is counted, so that neither many paths nor deep ones fill the memory.
    fn insert(&mut self, path: &[u8], node: Node) -> Result<(), ImageError> {
        self.paths += 1;
        self.names_bytes += path.len() + if let Node::Symlink(text) = &node { text.len() } else { 0 };
        if self.paths > self.limits.entries + MOUNT_POINTS.len() + MOUNT_FILES.len() {
            return Err(self.too_many());
        }
        if self.names_bytes > self.limits.names_bytes {
            let what = "the names of the image's files have";
            return Err(ImageError::Size { what, limit: self.limits.names_bytes as u64 });
        }
        self.nodes.insert(path.into(), Placed { layer: self.layer, node });
        Ok(())
    }

    /// What a hard link names: a file or a link that is there already.
    fn linked(&self, path: &[u8], link: &[u8]) -> Result<Node, ImageError> {
        let target = path::check(link, self.limits)?;
        match self.nodes.get(target).map(|placed| &placed.node) {
            Some(node @ (Node::File(_) | Node::Symlink(_))) if target != path => Ok(node.clone()),
            _ => Err(ImageError::Path { name: shown(path), why: "it is a hard link to no file of the image" }),
        }
    }

    fn white_out(&mut self, directory: &[u8], name: &[u8]) -> Result<(), ImageError> {
        let path = [directory, b"/", name].concat();
        for parent in path::parents(&path).filter(|parent| !parent.is_empty()) {
            if self.nodes.get(parent).is_some_and(|placed| !matches!(placed.node, Node::Directory(_))) {
                return Err(leads_through(&path));
            }
        }
        if name != OPAQUE && name.starts_with(NOTES) {
            return Ok(());
        }
        let hidden = match name {
            OPAQUE => Some(directory.to_vec()),
            _ => hidden_by(directory, &name[WHITEOUT.len()..]),
        };
        let Some(hidden) = hidden else {
            return Err(ImageError::Path { name: shown(&path), why: "it is a whiteout of nothing" });
        };
        // Each is done once, or a layer of many would be slow.
        if !self.whiteouts.insert(path.into()) {
            return Err(ImageError::corrupt("a layer has a whiteout twice"));
        }
        self.remove_lower(&hidden, name == OPAQUE);
        Ok(())
    }

    /// Removes what layers below the current one put at a path (if it is not only below it) and below it.
    fn remove_lower(&mut self, path: &[u8], only_below: bool) {
        let current = self.layer;
        let lower = |placed: &Placed| placed.layer < current;
        let mut gone: Vec<Box<[u8]>> =
            self.below(path).filter(|(_, placed)| lower(placed)).map(|(p, _)| p.clone()).collect();
        if !only_below && self.nodes.get(path).is_some_and(lower) {
            gone.push(path.into());
        }
        for path in gone {
            self.nodes.remove(&path);
        }
    }

    fn remove_all(&mut self, path: &[u8]) {
        let Some(removed) = self.nodes.remove(path) else { return };
        if matches!(removed.node, Node::Directory(_)) {
            let below: Vec<Box<[u8]>> = self.below(path).map(|(path, _)| path.clone()).collect();
            for path in below {
                self.nodes.remove(&path);
            }
        }
    }

    /// All that is below a directory; everything if that is the root.
    fn below(&self, directory: &[u8]) -> impl Iterator<Item = (&Box<[u8]>, &Placed)> + use<'_, 'a> {
        let first: Box<[u8]> =
            if directory.is_empty() { Box::default() } else { [directory, b"/"].concat().into_boxed_slice() };
        let prefix = first.clone();
        self.nodes.range(first..).take_while(move |(path, _)| path.starts_with(&prefix))
    }

    fn too_many(&self) -> ImageError {
        ImageError::Entries { what: "files and directories", limit: self.limits.entries }
    }
}

/// The path that a whiteout hides, if it can be one.
fn hidden_by(directory: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    match name {
        b"" | b"." | b".." => None,
        _ if directory.is_empty() => Some(name.to_vec()),
        _ => Some([directory, b"/", name].concat()),
    }
}

fn leads_through(path: &[u8]) -> ImageError {
    ImageError::Path { name: shown(path), why: "it leads through a link or a file" }
}

/// What a symbolic link names, as it stands there: it means something only inside the container.
fn link_text(path: &[u8], link: &[u8]) -> Result<Box<[u8]>, ImageError> {
    const MOST: usize = 4095;
    if link.is_empty() || link.len() > MOST || link.contains(&0) {
        return Err(ImageError::Path { name: shown(path), why: "it is a symbolic link to nothing that has a name" });
    }
    Ok(link.into())
}
