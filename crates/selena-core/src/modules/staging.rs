//! Directories of the hub: where packages arrive, wait, lie, and keep their data.
//!
//! `<data>/modules/<name>/` is the package itself and that directory holds nothing else (protocol, section 2, step 1);
//! `<data>/volumes/<name>.ext4` its data; `<data>/aside/` and `<data>/previous/` are described in [`super::aside`];
//! `<data>/pending/<name>/` an update that waits for a person; `<data>/staging/<id>/` an upload, wiped at every start.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use selena_killpoints::point;
use selena_signature::{KeyId, PackageSignature};
use selena_types::{Manifest, ModuleName, ModuleState, Problem};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    ModuleRecord, Modules, TrialReport,
    slot::{Live, Slot},
};
use crate::{
    ApiError,
    jobs::{Job, JobKind},
};

/// What the trial of an update saw that waits for a person.
const REPORT: &str = "report.json";
/// Says of an update that waits for a person that its version may be lower than the one that runs.
const MAY_BE_LOWER: &str = "allow-downgrade";

/// An upload that arrives. Its directory is removed when it is dropped.
#[derive(Debug)]
pub struct Upload {
    dir: PathBuf,
    /// Whether it outlives the hub: an update that waits for a person.
    kept: bool,
    /// Its place among those that arrive; given up once it is unpacked.
    pub(super) arrival: Option<OwnedSemaphorePermit>,
    /// What becomes of it; an update that waits for a person is no job.
    pub(super) job: Option<Job>,
    /// When the hub ends, what it leaves tells the next start what was under way.
    shutdown: CancellationToken,
}

impl Upload {
    /// The file the package is written to.
    #[must_use]
    pub fn zip_path(&self) -> PathBuf {
        self.dir.join("package.zip")
    }

    /// Receives it, unless that is cancelled meanwhile.
    ///
    /// # Errors
    /// [`ApiError::JobStopped`]; what arrived so far goes when this is dropped.
    pub async fn until_stopped<T>(&self, arrives: impl Future<Output = T>) -> Result<T, ApiError> {
        match &self.job {
            Some(job) => job.until_stopped(arrives).await,
            None => Ok(arrives.await),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn package_dir(&self) -> PathBuf {
        self.dir.join("package")
    }

    /// Where the files of its image lie until the engine has them.
    pub(super) fn image_root(&self) -> PathBuf {
        self.dir.join("root.tar")
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.kept || self.shutdown.is_cancelled() {
            return;
        }
        if let Err(error) = remove_all(&self.dir) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a staging directory was not removed; it goes at the next start"
            );
        }
    }
}

/// A package that was unpacked and whose manifest is good. Its directory goes when it is dropped.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) upload: Upload,
    pub(super) manifest: Manifest,
    pub(super) manifest_text: String,
    pub(super) has_main_py: bool,
    /// The key that signed it, unless nobody did.
    pub(super) signed_by: Option<KeyId>,
    pub(super) warnings: Vec<Problem>,
    /// What its trial saw, once it was tried.
    pub(super) report: Option<TrialReport>,
    /// Whether a person said that its version may be lower than the one that is installed (fault M05).
    pub(super) allow_downgrade: bool,
}

impl Staged {
    pub(super) fn package_dir(&self) -> PathBuf {
        self.upload.package_dir()
    }

    /// Whether it bears the signature of a publisher that this hub knows; a package with one is refused so far.
    pub(super) fn is_signed(&self) -> bool {
        self.signed_by.is_some()
    }

    /// The module that it becomes by a first install: nothing is granted yet, and it has no secret.
    pub(super) fn record(&self, uid: u32) -> ModuleRecord {
        let manifest = &self.manifest;
        ModuleRecord {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            module_type: manifest.module_type,
            runtime_mode: manifest.runtime_mode,
            manifest: self.manifest_text.clone(),
            has_main_py: self.has_main_py,
            signed_by: self.signed_by.clone(),
            state: ModuleState::Validating,
            error: None,
            port: manifest.port,
            uid,
            wanted: true,
            webhook_secret: Vec::new(),
            token: None,
            granted: Value::Null,
            installed_at: Timestamp::now(),
            started_at: None,
            report: self.report.clone(),
            crashes: Vec::new(),
            previous: None,
            on_probation: false,
            last_update: None,
        }
    }

    pub(super) fn trial_data(&self) -> PathBuf {
        self.upload.dir.join("trial.ext4")
    }
}

impl Modules {
    /// A place for a package that is about to arrive, as a job of `owner`'s; waits while too many do.
    ///
    /// # Errors
    /// [`ApiError::DiskFull`], or the disk's; [`ApiError::JobStopped`].
    pub async fn new_upload(&self, owner: &str) -> Result<Upload, ApiError> {
        let job = self.jobs().begin(JobKind::Install, None, owner);
        job.report(0, "a package arrives");
        let arrival = job.until_stopped(self.arrivals.clone().acquire_owned()).await?.map_err(ApiError::internal)?;
        let mut upload = self.staging_place(Some(arrival)).await?;
        upload.job = Some(job);
        Ok(upload)
    }

    /// A staging directory of its own.
    pub(super) async fn staging_place(&self, arrival: Option<OwnedSemaphorePermit>) -> Result<Upload, ApiError> {
        let dir = self.dir("staging").join(Uuid::new_v4().to_string());
        let shutdown = self.shutdown.clone();
        blocking(move || {
            fs::create_dir_all(dir.join("package"))?;
            // The module's own user has to read it, whatever the hub's umask is.
            fs::set_permissions(dir.join("package"), fs::Permissions::from_mode(0o755))?;
            Ok(Upload { dir, kept: false, arrival, job: None, shutdown })
        })
        .await
    }

    pub(super) fn package_dir(&self, name: &ModuleName) -> PathBuf {
        self.dir("modules").join(name.as_str())
    }

    pub(super) fn data_image(&self, name: &ModuleName) -> PathBuf {
        self.dir("volumes").join(format!("{name}.ext4"))
    }

    pub(super) fn pending_dir(&self, name: &ModuleName) -> PathBuf {
        self.dir("pending").join(name.as_str())
    }

    pub(super) fn dir(&self, name: &str) -> PathBuf {
        self.parts.config.data_dir.join(name)
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

    /// Moves a staged update to where it waits for a person; durable when it returns.
    pub(super) async fn set_waiting(&self, mut staged: Staged) -> Result<Staged, ApiError> {
        let (from, to) = (staged.package_dir(), self.pending_dir(&staged.manifest.name));
        let (dir, report) = (to.clone(), serde_json::json!(staged.report).to_string());
        let allow_downgrade = staged.allow_downgrade;
        blocking(move || {
            remove_all(&to)?;
            make_dir_durably(&to)?;
            fs::write(to.join(REPORT), report)?;
            fs::File::open(to.join(REPORT))?.sync_all()?;
            if allow_downgrade {
                fs::File::create(to.join(MAY_BE_LOWER))?.sync_all()?;
            }
            move_durably(&from, &to.join("package"))
        })
        .await?;
        staged.upload = Upload { dir, kept: true, arrival: None, job: None, shutdown: self.shutdown.clone() };
        Ok(staged)
    }

    /// Drops an update that waits for a person.
    pub(super) async fn discard_waiting(&self, slot: &Slot, live: &mut Live) {
        let Some(staged) = live.waiting.take() else { return };
        slot.set_waiting_port(None);
        slot.set_waiting_devices(Vec::new());
        let (dir, name) = (staged.upload.dir.clone(), staged.manifest.name.clone());
        if let Err(error) = blocking(move || remove_all(&dir)).await {
            tracing::warn!(module = %name, error = &error as &dyn std::error::Error, "an update that waited was not removed");
        }
    }

    /// An update that waits for a person since before this start of the hub.
    pub(super) fn read_waiting(&self, name: &ModuleName) -> Option<Staged> {
        let upload = Upload {
            dir: self.pending_dir(name),
            kept: true,
            arrival: None,
            job: None,
            shutdown: self.shutdown.clone(),
        };
        let text = fs::read(upload.package_dir().join("manifest.json")).ok()?;
        let parsed = Manifest::parse(&text, &self.parts.api.info().version, &self.parts.config.limits).ok()?;
        let has_main_py = upload.package_dir().join("main.py").is_file();
        let manifest_text = String::from_utf8_lossy(&text).into_owned();
        let signed_by = waiting_signer(&upload).ok()?;
        let (manifest, warnings) = (parsed.manifest, parsed.warnings);
        let report =
            fs::read(upload.dir.join(REPORT)).ok().and_then(|text| serde_json::from_slice(&text).ok()).flatten();
        let allow_downgrade = upload.dir.join(MAY_BE_LOWER).exists();
        Some(Staged { upload, manifest, manifest_text, has_main_py, signed_by, warnings, report, allow_downgrade })
    }
}

/// The key that signed a package which waits: it was checked when it arrived, and lies where only the hub writes.
fn waiting_signer(upload: &Upload) -> io::Result<Option<KeyId>> {
    match fs::read(upload.package_dir().join(PackageSignature::FILE)) {
        Ok(text) => Ok(Some(PackageSignature::parse(&text).map_err(io::Error::other)?.key_id().clone())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file or a directory with all in it; fine if there is none.
pub(super) fn remove_all(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        point("a removal");
    }
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Renames, and syncs both directories.
pub(super) fn move_durably(from: &Path, to: &Path) -> io::Result<()> {
    make_dir_durably(parent(to))?;
    point("a rename");
    fs::rename(from, to)?;
    point("the sync of a rename");
    fs::File::open(parent(to))?.sync_all()?;
    fs::File::open(parent(from))?.sync_all()
}

/// Makes a directory if it is not there, and syncs the one it lies in: without that a power cut may take it away with
/// all that was moved into it.
pub(super) fn make_dir_durably(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    fs::File::open(parent(dir))?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
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
