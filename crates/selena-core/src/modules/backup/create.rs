//! Making a backup.

use std::{fs::File, io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use selena_backup::{ArchiveWriter, FORMAT, Index, IndexedModule, KeptSecrets, Part, Scope, VolumeSize, age::Lock};
use selena_types::{Device, ModuleName, ModuleState, StateAt};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    super::{Modules, Upload, staging::blocking},
    ARCHITECTURE,
    job::{BackupTask, Job},
    pipe::{PIECES, PipeWriter},
    spool::Spooled,
};
use crate::{
    ApiError, ModuleRecord,
    ports::{DATABASE_FILE, Store},
    transact::{read, write},
};

/// Most states of a device that are kept: as many as the store keeps.
pub(super) const MOST_STATES: usize = 1000;

/// What is backed up, and what locks it.
#[derive(Debug)]
pub struct BackupRequest {
    /// One module; without it the whole hub.
    pub module: Option<ModuleName>,
    /// Who can open it.
    pub lock: Lock,
}

/// The pieces of a backup. It is whole if none of them is an error.
pub type BackupStream = mpsc::Receiver<io::Result<Bytes>>;

/// What is known when a backup begins.
struct Begun {
    place: Upload,
    index: Index,
    records: Vec<ModuleRecord>,
    secrets: KeptSecrets,
}

impl Modules {
    /// Begins a backup; what can be wrong before its first byte is told at once.
    ///
    /// # Errors
    /// 409 `backup_in_progress`; [`ApiError::NotFound`] for a module that is not there.
    pub async fn create_backup(self: &Arc<Self>, request: BackupRequest, who: &str) -> Result<BackupStream, ApiError> {
        let job = self.backup_job(BackupTask::Backup, who)?;
        let what = request.module.as_ref().map_or("hub", ModuleName::as_str).to_owned();
        self.parts.api.record("backup_create", who, &what);
        let (modules, lock) = (self.clone(), request.lock);
        let module = request.module;
        let begun = self.tasks.spawn(async move { modules.begin_backup(module).await });
        let begun = match begun.await.unwrap_or_else(|panicked| Err(ApiError::internal(panicked))) {
            Ok(begun) => begun,
            Err(error) => {
                job.end(Err(&error));
                return Err(error);
            }
        };
        let (pieces, stream) = mpsc::channel(PIECES);
        let modules = self.clone();
        self.tasks.spawn(async move {
            let outcome = job.outcome(modules.write_backup(begun, lock, pieces.clone(), &job).await);
            if let Err(error) = &outcome {
                tracing::warn!(error = error as &dyn std::error::Error, "a backup was not made to its end");
                // The answer breaks off, so that nobody takes it for whole.
                let _client_gone = pieces.send(Err(io::Error::other(error.to_string()))).await;
            }
            job.end(outcome.as_ref().map(|()| "the backup is made"));
        });
        Ok(stream)
    }

    async fn begin_backup(&self, module: Option<ModuleName>) -> Result<Begun, ApiError> {
        let place = self.staging_place(None).await?;
        let dir = place.dir().join("db");
        let (copies, copy_dir, whole) = (self.parts.backup.copies.clone(), dir.clone(), module.is_none());
        let copy = blocking_copy(move || {
            std::fs::create_dir(&copy_dir).map_err(super::disk)?;
            if whole {
                copies.copy_into(&copy_dir)?;
            }
            Ok(copies.open(&copy_dir)?)
        })
        .await?;
        let records = match &module {
            Some(name) => vec![self.copy_module(&copy, name).await?],
            None => self.tidy_copy(&copy).await?,
        };
        let secrets = self.backup_secrets(&records).await?;
        let copies = self.parts.backup.copies.clone();
        blocking_copy(move || {
            drop(copy);
            Ok(copies.finish(&dir)?)
        })
        .await?;
        let index = self.index(module.map_or(Scope::Hub, Scope::Module), &records);
        Ok(Begun { place, index, records, secrets })
    }

    /// Takes out of a copy of the whole store what means nothing elsewhere: what is half installed or removed, and
    /// secrets, which this hub's key seals.
    async fn tidy_copy(&self, copy: &Arc<dyn Store>) -> Result<Vec<ModuleRecord>, ApiError> {
        write(copy, |tx| {
            let mut records = Vec::new();
            for (module, provider, _) in tx.oauth_sessions()? {
                tx.delete_oauth_session(&module, &provider)?;
            }
            for record in tx.modules()? {
                if !is_there(&record) {
                    tx.delete_module(&record.name)?;
                    continue;
                }
                tx.put_module(&ModuleRecord { webhook_secret: Vec::new(), ..record.clone() })?;
                records.push(record);
            }
            Ok(records)
        })
        .await
    }

    /// Copies the rows of one module into an empty store.
    async fn copy_module(&self, copy: &Arc<dyn Store>, name: &ModuleName) -> Result<ModuleRecord, ApiError> {
        let module = name.clone();
        let found = read(self.parts.api.store(), move |rows| {
            let record = rows.modules()?.into_iter().find(|record| record.name == module && is_there(record));
            let config = rows.module_config(&module)?;
            let mut devices: Vec<(Device, Vec<StateAt>)> = Vec::new();
            for device in rows.devices()?.into_iter().filter(|device| device.module_id.as_ref() == Some(&module)) {
                let states = rows.history(device.device_id, None, MOST_STATES)?;
                devices.push((device, states));
            }
            Ok((record, config, devices))
        });
        let (record, config, devices) = found.await?;
        let record = record.ok_or(ApiError::NotFound("module"))?;
        let stored = ModuleRecord { webhook_secret: Vec::new(), ..record.clone() };
        write(copy, move |tx| put_module_rows(tx, &stored, config, devices)).await?;
        Ok(record)
    }

    fn index(&self, scope: Scope, records: &[ModuleRecord]) -> Index {
        let size = |image: PathBuf| {
            let bytes = image.metadata().ok()?.len();
            Some(VolumeSize { mib: u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX) })
        };
        let module = |record: &ModuleRecord| {
            let shelf = self.shelf(&record.name);
            let previous = record.previous.as_ref().filter(|previous| shelf.has_previous(&previous.manifest));
            IndexedModule {
                name: record.name.clone(),
                version: record.version.clone(),
                data: size(self.data_image(&record.name)),
                previous: previous.map(|previous| previous.version.clone()),
                previous_data: previous.and_then(|_| size(shelf.previous_data())),
            }
        };
        Index {
            format: FORMAT,
            scope,
            hub_version: self.parts.api.info().version.clone(),
            created_at: Timestamp::now(),
            architecture: ARCHITECTURE.to_owned(),
            modules: records.iter().map(module).collect(),
        }
    }

    async fn write_backup(
        self: &Arc<Self>,
        begun: Begun,
        lock: Lock,
        pieces: mpsc::Sender<io::Result<Bytes>>,
        job: &Job,
    ) -> Result<(), ApiError> {
        let runtime = Handle::current();
        let out = PipeWriter::new(pieces, job.cancel_token(), runtime);
        let Begun { place, index, records, secrets } = begun;
        let database = place.dir().join("db").join(DATABASE_FILE);
        let mut writer = in_thread(move || {
            let mut writer = ArchiveWriter::new(out, &lock, &index)?;
            let file = File::open(&database)?;
            writer.add(&Part::Database, file.metadata()?.len(), file)?;
            let text = secrets.to_json();
            writer.add(&Part::Secrets, text.len() as u64, text.as_slice())?;
            Ok(writer)
        })
        .await?;
        for (number, record) in records.iter().enumerate() {
            job.check()?;
            job.tell(format!("{}: its files are laid ready", record.name), number * 100 / records.len());
            let spooled = self.spool(record, place.dir(), job).await?;
            writer = in_thread(move || spooled.send(writer)).await?;
        }
        let last = in_thread(move || writer.finish()).await?;
        drop(last);
        Ok(())
    }
}

/// Puts the rows of one module into a store that has none of it.
pub(super) fn put_module_rows(
    tx: &mut dyn crate::ports::Tx,
    record: &ModuleRecord,
    config: serde_json::Map<String, serde_json::Value>,
    devices: Vec<(Device, Vec<StateAt>)>,
) -> Result<(), ApiError> {
    tx.put_module(record)?;
    for (key, value) in &config {
        tx.put_module_config(&record.name, key, value)?;
    }
    for (device, states) in devices {
        tx.put_device(device.clone())?;
        // They come newest first.
        for StateAt { state, timestamp } in states.into_iter().rev() {
            tx.set_state(device.clone(), state, timestamp)?;
        }
        // The last state may not be all that is known of it now.
        tx.put_device(device)?;
    }
    Ok(())
}

fn is_there(record: &ModuleRecord) -> bool {
    !matches!(record.state, ModuleState::Validating | ModuleState::Removed | ModuleState::Uploaded)
}

/// Work with a copy of the store, which blocks.
pub(super) async fn blocking_copy<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    blocking(move || Ok(work())).await?
}

/// Work with the archive, which blocks.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, selena_backup::BackupError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?;
    Ok(done?)
}

impl Spooled {
    fn send<W: io::Write>(self, mut writer: ArchiveWriter<W>) -> Result<ArchiveWriter<W>, selena_backup::BackupError> {
        for (part, path) in self.parts {
            let file = File::open(&path)?;
            writer.add(&part, file.metadata()?.len(), file)?;
            std::fs::remove_file(&path)?;
        }
        Ok(writer)
    }
}
