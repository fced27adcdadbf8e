//! What `docker save` wrote before it wrote OCI layouts: `manifest.json`, a configuration, and a tar for each layer.

use std::io::Read;

use serde::Deserialize;

use super::{
    ImageError, ImageLimits,
    archive::{Archive, read_json},
    digest::Digest,
    image::{Found, Layer},
};
use crate::error::shown;

pub(crate) const MANIFEST: &str = "manifest.json";
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// One image. Its tags (`RepoTags`) are not even read: the hub names the image itself.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    layers: Vec<String>,
}

/// Finds the one image of the archive.
pub(crate) fn find(archive: &Archive<'_>, limits: &ImageLimits) -> Result<Found, ImageError> {
    let mut images: Vec<Image> = read_json(MANIFEST, &archive.document(MANIFEST)?)?;
    let image = match (images.len(), images.pop()) {
        (1, Some(image)) => image,
        (several, _) => return Err(ImageError::Ambiguous(several)),
    };
    if image.layers.len() > limits.layers {
        return Err(ImageError::Entries { what: "layers", limit: limits.layers });
    }
    let config = archive.document(&image.config)?;
    let id = Digest::of(&config);
    // Its name is its digest, where the writer keeps to the convention.
    let name = image.config.strip_suffix(".json").unwrap_or(&image.config);
    let named = Digest::parse_hex(name.rsplit(['/', ':']).next().unwrap_or_default());
    if named.is_some_and(|named| named != id) {
        return Err(ImageError::Digest(shown(image.config.as_bytes())));
    }
    let layers = image.layers.into_iter().map(|name| layer_of(archive, name)).collect::<Result<_, _>>()?;
    Ok(Found { id, config, layers })
}

/// The layers have no media type here, so that gzip is told by its first bytes, as `docker load` does.
fn layer_of(archive: &Archive<'_>, name: String) -> Result<Layer, ImageError> {
    let mut magic = [0; 2];
    let is_gzip = match archive.part(&name)?.read_exact(&mut magic) {
        Ok(()) => magic == GZIP_MAGIC,
        Err(error) => return Err(ImageError::io("read image.tar", error)),
    };
    Ok(Layer { name, digest: None, is_gzip })
}
