//! Images of strangers: from the `image.tar` of a package to one tar of plain files (protocol, section 4, row `oci`).
//!
//! Entry point: [`Image::open`], then [`Image::flatten`]. Two layouts are read, OCI's and the older one of `docker
//! save`. Tags and names in them have no effect; of the configuration only entry point, command, environment and working
//! directory count. Every blob is checked against its digest, and every layer against the digest of what it unpacks to.
//!
//! Decision: the hub does not unpack an image into its own file system. It keeps the paths of all files in memory, with
//! where the content lies, and writes a new tar from that: memory has a limit in bytes, no link is ever resolved, and
//! what the engine imports has no header that a stranger wrote.

mod archive;
mod config;
mod digest;
mod docker_archive;
mod error;
mod flatten;
mod header;
mod image;
mod layer;
mod layout;
mod limits;
mod path;
mod pax;
mod tar_reader;
mod tree;

pub use config::Program;
pub use error::ImageError;
pub use flatten::Flattened;
pub use image::Image;
pub use limits::ImageLimits;
