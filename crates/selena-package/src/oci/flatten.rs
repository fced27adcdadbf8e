//! From layers to one tar.
//!
//! The layers are read twice: first for their digests and for the paths they make together, then for the content of
//! those files that are left. Nothing is unpacked on the hub, so no path and no link of an image is ever resolved here.
//! The order is directories, files, symbolic links: whoever unpacks the result writes through no link either.

use std::{
    collections::HashMap,
    ffi::OsStr,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use tar::{Builder, EntryType, Header};

use super::{
    ImageError,
    image::Image,
    layer::{LayerReader, buffered},
    tar_reader::{Entry, TarReader},
    tree::{FileId, Node, Tree},
};
use crate::error::shown;

const WRITING: &str = "write the image's files";
/// Mode bits that files keep, and directories: those may be sticky.
const FILE_BITS: u32 = 0o777;
const DIRECTORY_BITS: u32 = 0o1777;

/// What an image lost on its way to the container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flattened {
    /// How many files and directories had setuid, setgid or file capabilities, which are gone.
    pub privileged: usize,
    /// Words of its configuration that have no effect: `VOLUME`, `USER` and the like.
    pub ignored: Vec<&'static str>,
}

pub(crate) fn flatten(image: &Image<'_>, into: impl Write) -> Result<Flattened, ImageError> {
    let mut tree = read_tree(image)?;
    tree.add_mount_points()?;
    let mut output = Output { tar: Builder::new(io::BufWriter::with_capacity(64 * 1024, into)), privileged: 0 };
    output.write_frame(&tree)?;
    let files = paths_of_files(&tree);
    let mut total_left = image.limits.total_bytes;
    for (index, layer) in image.layers.iter().enumerate() {
        let reader = LayerReader::again(&image.archive, layer, image.limits, total_left)?;
        total_left = output.write_files(index, TarReader::new(buffered(reader)), &files)?;
    }
    output.write_symlinks(&tree)?;
    let privileged = output.finish()?;
    Ok(Flattened { privileged, ignored: image.ignored.clone() })
}

fn read_tree<'a>(image: &Image<'a>) -> Result<Tree<'a>, ImageError> {
    let mut tree = Tree::new(image.limits);
    let mut total_left = image.limits.total_bytes;
    for (index, (layer, diff_id)) in image.layers.iter().zip(&image.diff_ids).enumerate() {
        tree.begin(index);
        let reader = LayerReader::checked(&image.archive, layer, image.limits, total_left)?;
        let reader = apply(&mut tree, TarReader::new(buffered(reader)))?;
        total_left = reader.total_left();
        if reader.finish() != Some(*diff_id) {
            return Err(ImageError::Digest(format!("the layer {}", shown(layer.name.as_bytes()))));
        }
    }
    Ok(tree)
}

type Buffered<'a> = super::layer::Buffered<LayerReader<'a>>;

fn apply<'a>(tree: &mut Tree<'_>, mut layer: TarReader<Buffered<'a>>) -> Result<LayerReader<'a>, ImageError> {
    let mut number = 0;
    while let Some(entry) = layer.next()? {
        tree.apply(number, &entry)?;
        number += 1;
    }
    Ok(layer.finish()?.into_inner())
}

/// The paths of each file that is left.
fn paths_of_files<'t>(tree: &'t Tree<'_>) -> HashMap<FileId, Vec<&'t [u8]>> {
    let mut files: HashMap<FileId, Vec<&[u8]>> = HashMap::new();
    for (path, node) in tree.nodes() {
        if let Node::File(id) = node {
            files.entry(*id).or_default().push(path);
        }
    }
    files
}

/// The tar that is made. Every header in it is new: nothing of the image's own gets through.
struct Output<W: Write> {
    tar: Builder<W>,
    privileged: usize,
}

impl<W: Write> Output<W> {
    /// All directories, and the empty files that the hub mounts over.
    fn write_frame(&mut self, tree: &Tree<'_>) -> Result<(), ImageError> {
        for (path, node) in tree.nodes() {
            match node {
                Node::Directory(mode) => {
                    self.privileged += usize::from(mode & !DIRECTORY_BITS != 0);
                    let mut header = header(EntryType::Directory, mode & DIRECTORY_BITS, 0);
                    self.append(&mut header, path, io::empty())?;
                }
                Node::Empty => self.append(&mut header(EntryType::Regular, 0o644, 0), path, io::empty())?,
                Node::File(_) | Node::Symlink(_) => {}
            }
        }
        Ok(())
    }

    /// The files of a layer that are left, each with its hard links behind it. Gives the bytes other layers may have.
    fn write_files(
        &mut self,
        layer: usize,
        mut reader: TarReader<Buffered<'_>>,
        files: &HashMap<FileId, Vec<&[u8]>>,
    ) -> Result<u64, ImageError> {
        let mut number = 0;
        while let Some(entry) = reader.next()? {
            if let Some((first, links)) =
                files.get(&FileId { layer, entry: number }).and_then(|paths| paths.split_first())
            {
                self.write_file(first, &entry, &mut reader)?;
                for link in links {
                    self.append_link(EntryType::Link, link, first)?;
                }
            }
            number += 1;
        }
        Ok(reader.finish()?.into_inner().total_left())
    }

    fn write_file(&mut self, path: &[u8], entry: &Entry, content: &mut impl io::Read) -> Result<(), ImageError> {
        self.privileged += usize::from(entry.mode & !FILE_BITS != 0 || entry.has_privilege);
        let mut header = header(EntryType::Regular, entry.mode & FILE_BITS, entry.size);
        header.set_mtime(entry.mtime.min(u64::from(u32::MAX)));
        self.append(&mut header, path, content)
    }

    fn write_symlinks(&mut self, tree: &Tree<'_>) -> Result<(), ImageError> {
        for (path, node) in tree.nodes() {
            if let Node::Symlink(text) = node {
                self.append_link(EntryType::Symlink, path, text)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<usize, ImageError> {
        let mut into = self.tar.into_inner().map_err(failed)?;
        into.flush().map_err(failed)?;
        Ok(self.privileged)
    }

    fn append(&mut self, header: &mut Header, path: &[u8], content: impl io::Read) -> Result<(), ImageError> {
        self.tar.append_data(header, as_path(path), content).map_err(failed)
    }

    fn append_link(&mut self, kind: EntryType, path: &[u8], names: &[u8]) -> Result<(), ImageError> {
        self.tar.append_link(&mut header(kind, 0o777, 0), as_path(path), as_path(names)).map_err(failed)
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn failed(error: io::Error) -> ImageError {
    ImageError::io(WRITING, error)
}
