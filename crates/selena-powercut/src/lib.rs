//! A disk that loses what was not flushed (series D11, W): the block log of a real file system, and the states in which
//! a power cut may leave it.
//!
//! A SIGKILL is no power cut: what a program wrote is in the kernel's cache and survives it. Here a file system (ext4)
//! lies on a loop device whose file is served by this crate ([`Disk`]), which writes down each write and each flush that
//! reaches the "medium". From that log come the states after a cut ([`Disk::after_cut`]): all that was flushed, and of
//! what was written since then nothing, everything, or a seeded part, torn at sectors ([`Fate`]). Each is mounted and
//! looked at like a disk after a power cut, its journal replayed by the kernel.
//!
//! It knows nothing of what is written. Tests need root, `/dev/fuse`, loop devices, `mkfs.ext4` and `mount`.

#![warn(missing_docs)]

mod blocks;
mod choice;
mod disk;
mod log;
mod mounted;
mod sample;
mod served;

pub use disk::Disk;
pub use log::{Cut, Fate};
pub use mounted::Mounted;
pub use sample::Sample;
