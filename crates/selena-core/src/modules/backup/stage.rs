//! The stage: each part of a backup is checked and laid ready beside what runs. Until all of it came and was found good
//! nothing of the hub is changed, and what lies on the stage goes with it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use selena_backup::{Index, IndexedModule, KeptSecrets, Part, PartVisitor, Scope};
use selena_types::ModuleName;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{
    super::{Modules, Upload, aside::NO_DATA, claims::Claim},
    intake::IntakeMode,
    invalid,
    job::Job,
    redo::{NO_PREVIOUS, SEALED_TOKENS},
    staged_database::StagedDatabase,
};
use crate::{ApiError, ModuleRecord, disk_space::space};

/// Largest data volume that is made, in MiB: what a manifest may ask for at most.
const MOST_MIB: u32 = 4096;

/// A backup that is being staged.
pub(super) struct Stage {
    pub(super) modules: Arc<Modules>,
    pub(super) runtime: Handle,
    pub(super) mode: IntakeMode,
    place: Upload,
    job: Job,
    index: Option<Index>,
    pub(super) database: Option<StagedDatabase>,
    pub(super) claim: Option<Claim>,
    notes: BTreeMap<ModuleName, Vec<String>>,
    done: usize,
}

/// A backup that lies ready, whole and checked.
pub(super) struct Staged {
    pub(super) place: Upload,
    pub(super) index: Index,
    pub(super) records: BTreeMap<ModuleName, ModuleRecord>,
    pub(super) notes: BTreeMap<ModuleName, Vec<String>>,
    /// Held until the module is in its place.
    pub(super) _claim: Option<Claim>,
}

impl Staged {
    /// What is told of it.
    pub(super) fn about(&self) -> Value {
        let module = |module: &IndexedModule| {
            let notes = self.notes.get(&module.name).cloned().unwrap_or_default();
            json!({ "name": module.name, "version": module.version, "notes": notes })
        };
        json!({
            "scope": self.index.scope,
            "created_at": self.index.created_at,
            "hub_version": self.index.hub_version,
            "architecture": self.index.architecture,
            "modules": self.index.modules.iter().map(module).collect::<Vec<_>>(),
        })
    }
}

impl Stage {
    pub(super) fn new(modules: Arc<Modules>, place: Upload, mode: IntakeMode, job: Job, runtime: Handle) -> Self {
        let (index, database, claim) = (None, None, None);
        Self { modules, runtime, mode, place, job, index, database, claim, notes: BTreeMap::new(), done: 0 }
    }

    pub(super) fn dir(&self) -> &Path {
        self.place.dir()
    }

    pub(super) fn note(&mut self, module: &ModuleName, note: String) {
        self.notes.entry(module.clone()).or_default().push(note);
    }

    /// What was staged, if all of it came and was good; and the job in any case.
    pub(super) fn finish(mut self, read: Result<(), ApiError>) -> (Result<Staged, ApiError>, Job) {
        let finished = read.and_then(|()| self.finish_files());
        let Self { place, job, index, claim, notes, .. } = self;
        let staged = finished.map(|records| {
            let index = index.expect("a backup that was read has an index");
            Staged { place, index, records, notes, _claim: claim }
        });
        (staged, job)
    }

    fn finish_files(&mut self) -> Result<BTreeMap<ModuleName, ModuleRecord>, ApiError> {
        let database = self.database.take().ok_or_else(|| invalid("it has no database"))?;
        let records = database.finish(&*self.modules.parts.backup.copies)?;
        // All that lies there is on the disk before a rename makes it count.
        let dir = File::open(self.dir()).map_err(super::disk)?;
        nix::unistd::syncfs(&dir).map_err(|error| super::disk(error.into()))?;
        Ok(records)
    }

    pub(super) fn is_of_one_module(&self) -> bool {
        self.index.as_ref().is_some_and(|index| index.scope != Scope::Hub)
    }

    fn record(&self, name: &ModuleName) -> Result<ModuleRecord, ApiError> {
        let record = self.database.as_ref().and_then(|database| database.records.get(name));
        record.cloned().ok_or_else(|| invalid(format!("`{name}` comes before the database")))
    }

    fn indexed(&self, name: &ModuleName) -> Result<IndexedModule, ApiError> {
        let modules = self.index.iter().flat_map(|index| &index.modules);
        modules.clone().find(|module| module.name == *name).cloned().ok_or_else(|| invalid("its list lacks a module"))
    }

    fn take_package(&mut self, name: &ModuleName, into: PathBuf, content: &mut dyn Read) -> Result<PathBuf, ApiError> {
        let zip = self.dir().join("package.zip");
        copy(content, &zip)?;
        make_dirs(&into)?;
        // The module's own user has to read it, whatever the hub's umask is.
        fs::set_permissions(&into, fs::Permissions::from_mode(0o755)).map_err(super::disk)?;
        let unpacked = self.modules.parts.packages.unpack_packed(&File::open(&zip).map_err(super::disk)?, &into)?;
        fs::remove_file(&zip).map_err(super::disk)?;
        let record = self.record(name)?;
        let previous = into.ends_with("package");
        self.verify_package(&record, previous, &unpacked)?;
        Ok(into)
    }

    fn take_data(&mut self, name: &ModuleName, image: &Path, content: &mut dyn Read) -> Result<(), ApiError> {
        let (record, indexed) = (self.record(name)?, self.indexed(name)?);
        let sizes = [indexed.data, indexed.previous_data].into_iter().flatten().map(|size| size.mib);
        let asked = self.modules.manifest(&record).ok().map(|manifest| manifest.resources.data_mb);
        let mib = sizes.chain(asked).max().unwrap_or(64).clamp(1, MOST_MIB);
        let tar = self.dir().join("data.tar");
        copy(content, &tar)?;
        let volumes = self.modules.parts.backup.volumes.clone();
        let file = File::open(&tar).map_err(super::disk)?;
        self.runtime.block_on(volumes.fill(image, mib, record.uid, file.into()))?;
        fs::remove_file(&tar).map_err(super::disk)
    }

    fn take_secrets(&mut self, content: &mut dyn Read) -> Result<(), ApiError> {
        let mut text = secrecy::zeroize::Zeroizing::new(Vec::new());
        content.read_to_end(&mut text).map_err(super::disk)?;
        let secrets = KeptSecrets::from_json(&text)?;
        let database = self.database.take().ok_or_else(|| invalid("its secrets come before its database"))?;
        let sealed = self.runtime.block_on(database.seal(&self.modules, secrets))?;
        self.database = Some(sealed.database);
        fs::write(self.dir().join(SEALED_TOKENS), sealed.tokens).map_err(super::disk)
    }
}

impl PartVisitor for Stage {
    type Error = ApiError;

    fn index(&mut self, index: &Index) -> Result<(), ApiError> {
        self.job.check()?;
        self.check_index(index)?;
        let sizes = index.modules.iter().flat_map(|module| [module.data, module.previous_data]).flatten();
        let wanted: u64 = sizes.map(|size| u64::from(size.mib.min(MOST_MIB)) << 20).sum();
        if space(self.dir()).is_some_and(|(_, free)| free < wanted) {
            return Err(ApiError::DiskFull);
        }
        for dir in ["db", "modules", "volumes", "previous"] {
            fs::DirBuilder::new().mode(0o755).create(self.dir().join(dir)).map_err(super::disk)?;
        }
        if let (Scope::Module(_), [module]) = (&index.scope, &index.modules[..]) {
            // Said by the plan itself, so that what was moved out of it already is not taken for what never was there.
            fs::write(self.dir().join(NO_DATA), "").map_err(super::disk)?;
            if module.previous.is_none() {
                fs::write(self.dir().join(NO_PREVIOUS), "").map_err(super::disk)?;
            }
        }
        self.index = Some(index.clone());
        Ok(())
    }

    fn part(&mut self, part: &Part, _bytes: u64, content: &mut dyn Read) -> Result<(), ApiError> {
        self.job.check()?;
        let total = self.index.as_ref().map_or(1, |index| index.modules.len().max(1));
        self.job.tell(format!("{part} is taken in"), self.done * 100 / total);
        let previous = |stage: &Self, name: &ModuleName| stage.dir().join("previous").join(name.as_str());
        let volume = |stage: &Self, name: &ModuleName| stage.dir().join("volumes").join(format!("{name}.ext4"));
        match part {
            Part::Index => Err(invalid("it has two lists")),
            Part::Database => self.take_database(content),
            Part::Secrets => self.take_secrets(content),
            Part::Package(name) => {
                self.done += 1;
                self.take_package(name, self.dir().join("modules").join(name.as_str()), content)?;
                Ok(())
            }
            Part::Data(name) => {
                self.take_data(name, &volume(self, name), content)?;
                if self.is_of_one_module() {
                    fs::remove_file(self.dir().join(NO_DATA)).map_err(super::disk)?;
                }
                Ok(())
            }
            Part::PreviousPackage(name) => {
                let dir = previous(self, name);
                self.take_package(name, dir.join("package"), content)?;
                fs::write(dir.join(NO_DATA), "").map_err(super::disk)
            }
            Part::PreviousData(name) => {
                let dir = previous(self, name);
                self.take_data(name, &dir.join("data.ext4"), content)?;
                fs::remove_file(dir.join(NO_DATA)).map_err(super::disk)
            }
        }
    }
}

impl Stage {
    fn take_database(&mut self, content: &mut dyn Read) -> Result<(), ApiError> {
        let dir = self.dir().join("db");
        copy(content, &dir.join(crate::ports::DATABASE_FILE))?;
        let index = self.index.clone().ok_or_else(|| invalid("its database comes before its list"))?;
        let copies = self.modules.parts.backup.copies.clone();
        let mut database = self.runtime.block_on(StagedDatabase::open(&*copies, &dir, &index))?;
        self.check_records(&index, &mut database)?;
        self.database = Some(database);
        Ok(())
    }
}

fn copy(from: &mut dyn Read, to: &Path) -> Result<(), ApiError> {
    let mut file = File::create_new(to).map_err(super::disk)?;
    io::copy(from, &mut file).map_err(super::disk)?;
    Ok(())
}

fn make_dirs(path: &Path) -> Result<(), ApiError> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(super::disk)
}
