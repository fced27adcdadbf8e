//! Directories of the hub: where packages arrive, lie, and keep their data.
//!
//! `<data>/modules/<name>/` is the package itself and that directory holds nothing else (protocol, section 2, step 1);
//! `<data>/volumes/<name>.ext4` its data; `<data>/previous/<name>/` the version before, while an update runs;
//! `<data>/staging/<id>/` an upload, wiped at every start of the hub.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use selena_types::{Manifest, ModuleName, Problem};
use uuid::Uuid;

use super::{ModuleRecord, Modules};
use crate::ApiError;

/// An upload that arrives. Its directory is removed when it is dropped.
#[derive(Debug)]
pub struct Upload {
    dir: PathBuf,
}

impl Upload {
    /// The file the package is written to.
    #[must_use]
    pub fn zip_path(&self) -> PathBuf {
        self.dir.join("package.zip")
    }

    pub(super) fn package_dir(&self) -> PathBuf {
        self.dir.join("package")
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a staging directory was not removed; it goes at the next start"
            );
        }
    }
}

/// A package that was unpacked and whose manifest is good.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) upload: Upload,
    pub(super) manifest: Manifest,
    pub(super) manifest_text: String,
    pub(super) has_main_py: bool,
    pub(super) warnings: Vec<Problem>,
}

impl Staged {
    pub(super) fn package_dir(&self) -> PathBuf {
        self.upload.package_dir()
    }

    pub(super) fn trial_data(&self) -> PathBuf {
        self.upload.dir.join("trial.ext4")
    }
}

impl Modules {
    /// A place for a package that is about to arrive.
    ///
    /// # Errors
    /// [`ApiError::DiskFull`], or the disk's.
    pub async fn new_upload(&self) -> Result<Upload, ApiError> {
        let dir = self.staging_dir().join(Uuid::new_v4().to_string());
        blocking(move || {
            fs::create_dir_all(dir.join("package"))?;
            Ok(Upload { dir })
        })
        .await
    }

    pub(super) fn package_dir(&self, name: &ModuleName) -> PathBuf {
        self.parts.config.data_dir.join("modules").join(name.as_str())
    }

    pub(super) fn data_image(&self, name: &ModuleName) -> PathBuf {
        self.parts.config.data_dir.join("volumes").join(format!("{name}.ext4"))
    }

    pub(super) fn previous_dir(&self, name: &ModuleName) -> PathBuf {
        self.parts.config.data_dir.join("previous").join(name.as_str())
    }

    fn staging_dir(&self) -> PathBuf {
        self.parts.config.data_dir.join("staging")
    }

    /// Moves a staged package to where it is run from; durable when it returns.
    pub(super) async fn place(&self, staged: &Staged) -> Result<(), ApiError> {
        let (from, to) = (staged.package_dir(), self.package_dir(&staged.manifest.name));
        blocking(move || {
            remove_all(&to)?;
            move_durably(&from, &to)
        })
        .await
    }

    /// Makes the directories, wipes what a power cut left, and undoes updates it interrupted.
    pub(super) async fn recover_files(&self) -> Result<(), ApiError> {
        let staging = self.staging_dir();
        let data = self.parts.config.data_dir.clone();
        let records = self.records();
        blocking(move || {
            remove_all(&staging)?;
            for dir in ["staging", "modules", "volumes", "previous"] {
                fs::create_dir_all(data.join(dir))?;
            }
            for record in &records {
                recover_update(&data, record)?;
            }
            remove_unknown(&data.join("modules"), |name| records.iter().any(|record| record.name.as_str() == name))?;
            remove_unknown(&data.join("volumes"), |name| {
                records.iter().any(|record| name.strip_suffix(".ext4") == Some(record.name.as_str()))
            })
        })
        .await
    }
}

/// An update that was cut either was stored, then the version before goes; or not, then it comes back.
fn recover_update(data: &Path, record: &ModuleRecord) -> io::Result<()> {
    let previous = data.join("previous").join(record.name.as_str());
    let package = data.join("modules").join(record.name.as_str());
    let old_package = previous.join("package");
    let stored_version_lies_there =
        fs::read_to_string(package.join("manifest.json")).is_ok_and(|manifest| manifest == record.manifest);
    if old_package.exists() && !stored_version_lies_there {
        remove_all(&package)?;
        move_durably(&old_package, &package)?;
        let old_data = previous.join("data.ext4");
        if old_data.exists() {
            move_durably(&old_data, &data.join("volumes").join(format!("{}.ext4", record.name)))?;
        }
    }
    remove_all(&previous)
}

fn remove_unknown(dir: &Path, known: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(&known) {
            remove_all(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a file or a directory with all in it; fine if there is none.
pub(super) fn remove_all(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Renames, and syncs both directories.
pub(super) fn move_durably(from: &Path, to: &Path) -> io::Result<()> {
    let parent = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
    fs::create_dir_all(parent(to))?;
    fs::rename(from, to)?;
    fs::File::open(parent(to))?.sync_all()?;
    fs::File::open(parent(from))?.sync_all()
}

/// Total and free bytes of the file system a path lies on.
pub(super) fn space(path: &Path) -> Option<(u64, u64)> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    Some((stat.blocks() * stat.fragment_size(), stat.blocks_available() * stat.fragment_size()))
}

/// Runs blocking work of the file system.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let outcome = tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?;
    outcome.map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ApiError::DiskFull,
        _ => ApiError::internal(error),
    })
}
