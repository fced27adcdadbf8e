//! One module's files, laid ready to be sent: while it is stopped they do not change, and it is not stopped for longer.

use std::{
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use selena_backup::Part;
use tokio::time::Instant;

use super::{
    super::{Modules, slot::Live, staging::blocking},
    job::Job,
};
use crate::{ApiError, ModuleRecord};

/// Files on the disk, in the order of their parts.
#[derive(Debug)]
pub(super) struct Spooled {
    pub(super) parts: Vec<(Part, PathBuf)>,
}

impl Modules {
    /// Lays a module's files ready. One that runs is stopped meanwhile, and is started again whatever happened.
    pub(super) async fn spool(
        self: &Arc<Self>,
        copied: &ModuleRecord,
        dir: &Path,
        job: &Job,
    ) -> Result<Spooled, ApiError> {
        let slot = self.slot(&copied.name).map_err(|_| changed(copied))?;
        let mut live = slot.live.lock().await;
        if live.removed || !is_same(copied, &slot.record()) {
            return Err(changed(copied));
        }
        let stopped = match live.active.take() {
            Some(active) => {
                let at = Instant::now();
                if let Err(error) = self.end(&active).await {
                    // It may still run, and write.
                    self.restart_after_spool(&slot, &mut live).await;
                    return Err(ApiError::sandbox(&copied.name, error));
                }
                Some(at)
            }
            None => None,
        };
        let spooled = self.spool_files(copied, dir).await;
        if let Some(at) = stopped {
            self.restart_after_spool(&slot, &mut live).await;
            let secs = at.elapsed().as_secs_f64();
            tracing::info!(module = %copied.name, secs, "the module was stopped for its backup");
            job.note(format!("{}: was stopped for {secs:.1} s", copied.name));
        }
        spooled
    }

    async fn restart_after_spool(self: &Arc<Self>, slot: &Arc<super::super::slot::Slot>, live: &mut Live) {
        if self.shutdown.is_cancelled() {
            // The next start of the hub starts it.
            return;
        }
        live.start_reason = Some("it was backed up".to_owned());
        if let Err(error) = self.start_quietly(slot, live).await {
            self.after_failed_start(slot, live, &error).await;
        }
    }

    async fn spool_files(&self, record: &ModuleRecord, dir: &Path) -> Result<Spooled, ApiError> {
        let name = &record.name;
        let shelf = self.shelf(name);
        let mut parts = Vec::new();
        let zip = self.spool_package(self.package_dir(name), dir.join("package.zip")).await?;
        parts.push((Part::Package(name.clone()), zip));
        if let Some(data) = self.spool_data(record, self.data_image(name), dir.join("data.tar")).await? {
            parts.push((Part::Data(name.clone()), data));
        }
        if record.previous.as_ref().is_some_and(|previous| shelf.has_previous(&previous.manifest)) {
            let zip = self.spool_package(shelf.previous_package(), dir.join("previous.zip")).await?;
            parts.push((Part::PreviousPackage(name.clone()), zip));
            if let Some(data) = self.spool_data(record, shelf.previous_data(), dir.join("previous.tar")).await? {
                parts.push((Part::PreviousData(name.clone()), data));
            }
        }
        Ok(Spooled { parts })
    }

    async fn spool_package(&self, package: PathBuf, into: PathBuf) -> Result<PathBuf, ApiError> {
        let packages = self.parts.packages.clone();
        blocking(move || {
            let file = File::create_new(&into)?;
            Ok(packages.pack(&package, &file).map(|()| into))
        })
        .await?
        .map_err(ApiError::from)
    }

    async fn spool_data(
        &self,
        record: &ModuleRecord,
        image: PathBuf,
        into: PathBuf,
    ) -> Result<Option<PathBuf>, ApiError> {
        if !image.exists() {
            return Ok(None);
        }
        let released = self.parts.sandbox.release_data(&record.name, &image).await;
        released.map_err(|error| ApiError::sandbox(&record.name, error))?;
        let path = into.clone();
        let file = blocking(move || File::create_new(&path)).await?;
        self.parts.backup.volumes.read_out(&image, OwnedFd::from(file)).await?;
        Ok(Some(into))
    }
}

/// Whether a module is still what the copy of the database says it is.
fn is_same(copied: &ModuleRecord, now: &ModuleRecord) -> bool {
    let key = |record: &ModuleRecord| {
        let previous = record.previous.as_ref().map(|previous| previous.manifest.clone());
        // The store keeps microseconds.
        (record.manifest.clone(), record.signed_by.clone(), record.installed_at.as_microsecond(), previous)
    };
    key(copied) == key(now)
}

fn changed(record: &ModuleRecord) -> ApiError {
    let detail =
        format!("`{}` was installed, updated or removed while the backup was made: make it again", record.name);
    ApiError::Conflict { code: "backup_changed", detail }
}
