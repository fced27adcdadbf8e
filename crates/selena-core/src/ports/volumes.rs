//! The content of data volumes, for backups: only the sandbox can look into one.

use std::{fmt, os::fd::OwnedFd, path::Path};

use futures_util::future::BoxFuture;

use super::SandboxError;

/// Why a data volume was not read or filled.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// What was to be put into it is no module's data.
    #[error("the data of a module is not usable: {0}")]
    Refused(String),
    /// It is more than the volume takes.
    #[error("the data of a module is more than its volume of {mib} MiB takes")]
    TooLarge {
        /// Size of the volume in MiB.
        mib: u32,
    },
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

/// Data volumes as streams of files. A descriptor is a pipe or a file, read or written from where it stands to its end.
pub trait DataVolumes: fmt::Debug + Send + Sync + 'static {
    /// Writes the files of a volume as a tar. Nothing has it mounted: see `Sandbox::release_data`.
    fn read_out<'a>(&'a self, image: &'a Path, into: OwnedFd) -> BoxFuture<'a, Result<(), VolumeError>>;

    /// Makes a volume of `mib` MiB, where there is none, whose files are those of a tar and belong to the user `owner`.
    /// On an error there is none.
    fn fill<'a>(
        &'a self,
        image: &'a Path,
        mib: u32,
        owner: u32,
        from: OwnedFd,
    ) -> BoxFuture<'a, Result<(), VolumeError>>;
}
