//! An OCI image layout: `oci-layout`, `index.json` and `blobs/sha256/…`. Every blob is named by its digest.

use serde::Deserialize;

use super::{
    ImageError, ImageLimits,
    archive::{Archive, read_json},
    config,
    digest::Digest,
    image::{Found, Layer},
};
use crate::error::shown;

pub(crate) const INDEX: &str = "index.json";
const MARKER: &str = "oci-layout";
const VERSION: &str = "1.0.0";

const MANIFEST_TYPES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const CONFIG_TYPES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
const TAR_TYPES: [&str; 2] = ["application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"];
const GZIP_TYPES: [&str; 2] =
    ["application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

/// Finds the one image for this hub. Names and tags in the layout mean nothing here.
pub(crate) fn find(archive: &Archive<'_>, limits: &ImageLimits) -> Result<Found, ImageError> {
    let marker: Marker = read_json(MARKER, &archive.document(MARKER)?)?;
    if marker.image_layout_version != VERSION {
        let why = format!("layout version {} is not {VERSION}", shown(marker.image_layout_version.as_bytes()));
        return Err(ImageError::Document { name: shown(MARKER.as_bytes()), why });
    }
    let top: Index = read_json(INDEX, &archive.document(INDEX)?)?;
    let manifest = choose(manifests(archive, top, limits)?)?;
    let manifest: Manifest = read_json("manifest", &blob(archive, &manifest)?)?;
    if !CONFIG_TYPES.contains(&manifest.config.media_type.as_str()) {
        return Err(ImageError::Media(shown(manifest.config.media_type.as_bytes())));
    }
    if manifest.layers.len() > limits.layers {
        return Err(ImageError::Entries { what: "layers", limit: limits.layers });
    }
    let id = digest(&manifest.config)?;
    let config = blob(archive, &manifest.config)?;
    let layers = manifest.layers.iter().map(|layer| layer_of(archive, layer)).collect::<Result<_, _>>()?;
    Ok(Found { id, config, layers })
}

/// All image manifests of the index, and of the indexes it names: one level, as builders write it.
fn manifests(archive: &Archive<'_>, top: Index, limits: &ImageLimits) -> Result<Vec<Descriptor>, ImageError> {
    let mut found: Vec<Descriptor> = Vec::new();
    // One image with two tags stands there twice.
    let mut add = |descriptor: Descriptor| {
        if !found.iter().any(|known| known.digest == descriptor.digest) {
            found.push(descriptor);
        }
    };
    let too_many = ImageError::Entries { what: "manifests", limit: limits.layers };
    if top.manifests.len() > limits.layers {
        return Err(too_many);
    }
    for descriptor in top.manifests {
        if !is_one_of(&descriptor, &INDEX_TYPES) {
            add(descriptor);
            continue;
        }
        let nested: Index = read_json("nested index", &blob(archive, &descriptor)?)?;
        if nested.manifests.len() > limits.layers {
            return Err(too_many);
        }
        nested.manifests.into_iter().for_each(&mut add);
    }
    match found.iter().find(|descriptor| !is_one_of(descriptor, &MANIFEST_TYPES)) {
        Some(odd) => Err(ImageError::Media(shown(odd.media_type.as_bytes()))),
        None => Ok(found),
    }
}

/// The only image, or the only one for this hub's machine. Builders' attestations name the platform `unknown`.
fn choose(mut found: Vec<Descriptor>) -> Result<Descriptor, ImageError> {
    let is_attestation = |platform: &Platform| platform.os == "unknown" || platform.architecture == "unknown";
    found.retain(|descriptor| !descriptor.platform.as_ref().is_some_and(is_attestation));
    let all: Vec<_> = found.iter().filter_map(|descriptor| descriptor.platform.clone()).collect();
    let fits = |platform: &Platform| config::is_for_this_hub(&platform.os, &platform.architecture);
    found.retain(|descriptor| descriptor.platform.as_ref().is_none_or(fits));
    match (found.len(), found.pop()) {
        (1, Some(only)) => Ok(only),
        (0, _) if all.is_empty() => Err(ImageError::corrupt("its index names no image")),
        (0, _) => {
            let names = all.iter().map(|one| format!("{}/{}", one.os, one.architecture)).collect::<Vec<_>>();
            Err(config::other_platform(&names.join(", ")))
        }
        (several, _) => Err(ImageError::Ambiguous(several)),
    }
}

fn is_one_of(descriptor: &Descriptor, types: &[&str]) -> bool {
    types.contains(&descriptor.media_type.as_str())
}

fn digest(descriptor: &Descriptor) -> Result<Digest, ImageError> {
    let bad = || ImageError::corrupt(format!("{} is no SHA-256 digest", shown(descriptor.digest.as_bytes())));
    Digest::parse(&descriptor.digest).ok_or_else(bad)
}

fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn blob(archive: &Archive<'_>, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
    let digest = digest(descriptor)?;
    archive.document_with(&blob_name(digest), digest)
}

fn layer_of(archive: &Archive<'_>, descriptor: &Descriptor) -> Result<Layer, ImageError> {
    let is_gzip = is_one_of(descriptor, &GZIP_TYPES);
    if !is_gzip && !is_one_of(descriptor, &TAR_TYPES) {
        return Err(ImageError::Media(shown(descriptor.media_type.as_bytes())));
    }
    let digest = digest(descriptor)?;
    let name = blob_name(digest);
    if archive.part(&name)?.left() != descriptor.size {
        return Err(ImageError::corrupt(format!(
            "{} has another size than its descriptor says",
            shown(name.as_bytes())
        )));
    }
    Ok(Layer { name, digest: Some(digest), is_gzip })
}
