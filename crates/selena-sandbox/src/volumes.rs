//! The core's port `DataVolumes`: what is in a data image goes out and comes in as a stream of files. An image of a
//! stranger is never mounted: its file system is always made here.

use std::{
    fs::{self, File},
    io::{self, BufReader, ErrorKind},
    os::fd::OwnedFd,
    path::Path,
};

use futures_util::future::BoxFuture;
use nix::errno::Errno;
use selena_core::ports::{DataVolumes, SandboxError, VolumeError};

use crate::{
    DockerSandbox, beneath::Place, data_image, failure, sandbox::Shared, start::blocking, volume_fill,
    volume_mount::VolumeMount, volume_read,
};

const READING: &str = "reading the data of a module";
const FILLING: &str = "putting back the data of a module";

impl DataVolumes for DockerSandbox {
    fn read_out<'a>(&'a self, image: &'a Path, into: OwnedFd) -> BoxFuture<'a, Result<(), VolumeError>> {
        Box::pin(async move {
            let mount = self.shared.mount(image, true).await?;
            blocking(READING, move || volume_read::write(mount.root(), into.into())).await?;
            Ok(self.shared.wait_for_release(image).await?)
        })
    }

    fn fill<'a>(
        &'a self,
        image: &'a Path,
        mib: u32,
        owner: u32,
        from: OwnedFd,
    ) -> BoxFuture<'a, Result<(), VolumeError>> {
        Box::pin(async move {
            self.shared.make_anew(image, mib, owner).await?;
            let filled = self.shared.fill(image, mib, owner, from).await;
            if filled.is_err() {
                self.shared.drop_half_filled(image).await;
            }
            filled
        })
    }
}

impl Shared {
    /// Makes an image where there is none.
    async fn make_anew(&self, image: &Path, mib: u32, owner: u32) -> Result<(), SandboxError> {
        let (root, path) = (self.config.data_dir.clone(), image.to_owned());
        blocking(FILLING, move || {
            let place = Place::find(&root, &path)?;
            match place.path().symlink_metadata() {
                Ok(_) => Err(io::Error::from(ErrorKind::AlreadyExists)),
                Err(_) => data_image::open_or_make(&place.path(), mib, owner).map(drop),
            }
        })
        .await
    }

    async fn fill(&self, image: &Path, mib: u32, owner: u32, from: OwnedFd) -> Result<(), VolumeError> {
        let mount = self.mount(image, false).await?;
        let done = tokio::task::spawn_blocking(move || {
            volume_fill::fill(mount.root(), owner, BufReader::with_capacity(256 * 1024, File::from(from)))
        });
        let done = done.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        done.map_err(|error| about_filling(error, mib))?;
        self.wait_for_release(image).await?;
        let (root, path) = (self.config.data_dir.clone(), image.to_owned());
        let sync = move || data_image::open(&Place::find(&root, &path)?.path())?.sync_all();
        Ok(blocking(FILLING, sync).await?)
    }

    async fn drop_half_filled(&self, image: &Path) {
        let (root, image) = (self.config.data_dir.clone(), image.to_owned());
        let remove = move || match fs::remove_file(Place::find(&root, &image)?.path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        if let Err(error) = blocking(FILLING, remove).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a data volume that was not filled is left over");
        }
    }

    /// Mounts an image; what a module left of it is released first.
    async fn mount(&self, image: &Path, read_only: bool) -> Result<VolumeMount, SandboxError> {
        let _alone = self.attaching.of(image).await;
        if let Some(device) = self.device_of(image).await? {
            let what = format!("{} is in use as {}", image.display(), device.display());
            return Err(failure::refused(READING, what));
        }
        let (root, image) = (self.config.data_dir.clone(), image.to_owned());
        let mount = move || VolumeMount::new(&data_image::open(&Place::find(&root, &image)?.path())?, read_only);
        blocking(READING, mount).await
    }
}

/// Whose fault it is that a volume was not filled.
fn about_filling(error: io::Error, mib: u32) -> VolumeError {
    // What the kernel answers to a path that leads through a link, or out of the volume.
    let leads_astray = [Errno::ELOOP, Errno::EXDEV].map(|errno| errno as i32);
    match error.kind() {
        _ if error.raw_os_error().is_some_and(|errno| leads_astray.contains(&errno)) => {
            VolumeError::Refused("a path leads through a link".to_owned())
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => VolumeError::TooLarge { mib },
        ErrorKind::InvalidData
        | ErrorKind::UnexpectedEof
        | ErrorKind::AlreadyExists
        | ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::Other => VolumeError::Refused(error.to_string()),
        _ => failure::system(FILLING)(error).into(),
    }
}
