//! One image in an `image.tar`, whichever layout it has.

use std::{fs::File, io::Write};

use super::{
    Flattened, ImageError, ImageLimits, Program,
    archive::Archive,
    config::{self, ImageConfig},
    digest::Digest,
    docker_archive, flatten, layout,
};

/// Goes up when another version of the hub makes another tree of the same image, so that it is imported anew.
const FORMAT: u32 = 1;

/// A layer as the image names it.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Its name in `image.tar`.
    pub(crate) name: String,
    /// Its digest, packed, if the layout says so.
    pub(crate) digest: Option<Digest>,
    pub(crate) is_gzip: bool,
}

/// What a layout says of its one image.
#[derive(Debug)]
pub(crate) struct Found {
    /// Digest of the configuration.
    pub(crate) id: Digest,
    pub(crate) config: Vec<u8>,
    /// From the lowest to the highest.
    pub(crate) layers: Vec<Layer>,
}

/// The one image of an `image.tar`, whose layers were not read yet.
#[derive(Debug)]
pub struct Image<'a> {
    pub(crate) archive: Archive<'a>,
    pub(crate) limits: &'a ImageLimits,
    pub(crate) layers: Vec<Layer>,
    /// What each layer's digest is, unpacked.
    pub(crate) diff_ids: Vec<Digest>,
    pub(crate) ignored: Vec<&'static str>,
    id: Digest,
    program: Program,
}

impl<'a> Image<'a> {
    /// Finds the image and reads its configuration. Reads headers and documents only: quick, also for a large image.
    ///
    /// # Errors
    /// [`ImageError`]: no image, more than one, another machine's, or one whose documents are not good.
    pub fn open(file: &'a File, limits: &'a ImageLimits) -> Result<Self, ImageError> {
        let archive = Archive::open(file, limits)?;
        // Newer exports hold both layouts, of the same image; blobs named by their digests say more.
        let found = if archive.has(layout::INDEX) {
            layout::find(&archive, limits)?
        } else if archive.has(docker_archive::MANIFEST) {
            docker_archive::find(&archive, limits)?
        } else {
            return Err(ImageError::corrupt("it has neither index.json nor manifest.json at its root"));
        };
        let ImageConfig { program, diff_ids, ignored } = config::read(&found.config, limits)?;
        if diff_ids.len() != found.layers.len() {
            return Err(ImageError::corrupt("its configuration names more or fewer layers than it has"));
        }
        Ok(Self { archive, limits, layers: found.layers, diff_ids, ignored, id: found.id, program })
    }

    /// Names what [`Image::flatten`] makes: `<format>-<SHA-256 of the configuration>`, which names each layer by its digest.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{FORMAT}-{}", self.id.hex())
    }

    /// What it starts.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Writes the image's files as one plain tar, for an engine to import (protocol, section 4).
    ///
    /// All files belong to root and none has setuid, setgid or capabilities. The places where the hub mounts something
    /// are there and are what they have to be. Blocking: reads all layers twice.
    ///
    /// # Errors
    /// [`ImageError`]; what was written until then is the caller's to remove.
    pub fn flatten(&self, into: impl Write) -> Result<Flattened, ImageError> {
        flatten::flatten(self, into)
    }
}
