//! Plans: what was staged, found good, and renamed to where the hub looks when it starts. From that rename on the new
//! state is what counts; each step of a plan can be done again, so a cut at any point is finished by the next start.
//!
//! | place | holds |
//! |---|---|
//! | `restore/` | a whole hub: `db/selena.db`, `modules/`, `volumes/`, `previous/`, the sealed tokens |
//! | `restoring/<name>/` | one module, in the same form |

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use selena_killpoints::point;
use selena_types::ModuleName;
use uuid::Uuid;

use super::{
    super::{
        Modules,
        aside::NO_DATA,
        staging::{blocking, move_durably, remove_all},
    },
    create::put_module_rows,
    staged_database::rows_of,
};
use crate::{ApiError, ports::DATABASE_FILE, transact::write};

/// File of a plan with the tokens, sealed with this hub's key.
pub(super) const SEALED_TOKENS: &str = "tokens.sealed";
/// Says of a plan for one module that it has no version before.
pub(super) const NO_PREVIOUS: &str = "no-previous";

pub(super) fn hub_plan(data: &Path) -> PathBuf {
    data.join("restore")
}

pub(super) fn module_plan(data: &Path, name: &ModuleName) -> PathBuf {
    data.join("restoring").join(name.as_str())
}

/// Puts the files of a restored hub in the place of those that are there, if there is a plan for it. Called before the
/// store is opened, with the data directory locked.
///
/// # Errors
/// The file system's; then it is to be done again before anything else.
pub fn finish_hub_restore(data: &Path) -> io::Result<()> {
    let plan = hub_plan(data);
    if !plan.join("db").join(DATABASE_FILE).exists() {
        return Ok(());
    }
    tracing::info!("a backup of a whole hub takes the place of what is here");
    for dir in ["modules", "volumes", "previous"] {
        if plan.join(dir).exists() {
            remove_all(&data.join(dir))?;
            move_durably(&plan.join(dir), &data.join(dir))?;
        }
    }
    for dir in ["aside", "pending", "restoring"] {
        remove_all(&data.join(dir))?;
    }
    for side_file in ["-wal", "-shm"] {
        remove_all(&data.join(format!("{DATABASE_FILE}{side_file}")))?;
    }
    // Last: as long as it is in the plan, the plan is not done.
    move_durably(&plan.join("db").join(DATABASE_FILE), &data.join(DATABASE_FILE))
}

/// Puts the files of one module in their place.
fn move_module(data: &Path, name: &ModuleName) -> io::Result<()> {
    let plan = module_plan(data, name);
    let (file, name) = (format!("{name}.ext4"), name.as_str());
    for dir in ["aside", "pending"] {
        remove_all(&data.join(dir).join(name))?;
    }
    if plan.join("volumes").join(&file).exists() {
        move_durably(&plan.join("volumes").join(&file), &data.join("volumes").join(&file))?;
    } else if plan.join(NO_DATA).exists() {
        remove_all(&data.join("volumes").join(&file))?;
    }
    let previous = plan.join("previous").join(name);
    if previous.exists() || plan.join(NO_PREVIOUS).exists() {
        remove_all(&data.join("previous").join(name))?;
    }
    if previous.exists() {
        move_durably(&previous, &data.join("previous").join(name))?;
    }
    if plan.join("modules").join(name).exists() {
        remove_all(&data.join("modules").join(name))?;
        move_durably(&plan.join("modules").join(name), &data.join("modules").join(name))?;
    }
    Ok(())
}

impl Modules {
    /// Finishes what was planned when the hub ended; before it reads what it has.
    pub(in super::super) async fn finish_restores(&self) -> Result<(), ApiError> {
        let data = self.parts.config.data_dir.clone();
        let plan = hub_plan(&data);
        if plan.join(SEALED_TOKENS).exists() {
            for (module, _) in self.kept().places().await? {
                self.kept().delete_module(&module).await?;
            }
            self.put_back_tokens(&plan).await?;
            self.parts.api.record("backup_restored", "core", "hub");
        }
        drop_plan(&data, plan).await?;
        let names = fs::read_dir(data.join("restoring")).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().to_str()?.parse::<ModuleName>().ok());
        for name in names.collect::<Vec<_>>() {
            self.finish_module_restore(&name).await?;
        }
        Ok(())
    }

    /// Does what is planned for one module, whose lock is held or which is not known yet.
    pub(super) async fn finish_module_restore(&self, name: &ModuleName) -> Result<(), ApiError> {
        let data = self.parts.config.data_dir.clone();
        let plan = module_plan(&data, name);
        let (dir, module) = (data.clone(), name.clone());
        blocking(move || move_module(&dir, &module)).await?;
        if plan.join("db").join(DATABASE_FILE).exists() {
            let rows = rows_of(self.parts.backup.copies.clone(), plan.join("db")).await?;
            let (record, config, devices) = rows;
            write(self.parts.api.store(), move |tx| {
                tx.delete_devices(&record.name)?;
                tx.delete_module(&record.name)?;
                let mut own = Vec::new();
                for (device, states) in devices {
                    // One that became another module's since stays that one's.
                    let now = tx.device(device.device_id)?;
                    if now.is_none_or(|now| now.module_id.is_none()) {
                        own.push((device, states));
                    }
                }
                for (device, _) in &own {
                    if tx.device(device.device_id)?.is_some() {
                        tx.delete_device(device.device_id)?;
                    }
                }
                put_module_rows(tx, &record, config, own)
            })
            .await?;
        }
        if plan.join(SEALED_TOKENS).exists() {
            self.kept().delete_module(name).await?;
            self.put_back_tokens(&plan).await?;
        }
        self.parts.api.record("backup_restored", "core", name.as_str());
        drop_plan(&data, plan).await
    }

    async fn put_back_tokens(&self, plan: &Path) -> Result<(), ApiError> {
        let path = plan.join(SEALED_TOKENS);
        let sealed = blocking(move || fs::read(path)).await?;
        for token in self.open_tokens(&sealed)? {
            point("a token that is put back");
            self.kept().write(&token.module, &token.provider, token.secret, |_| Ok(())).await?;
        }
        Ok(())
    }
}

/// Removes a plan that is done: gone as a whole, so that no half of it is found.
async fn drop_plan(data: &Path, plan: PathBuf) -> Result<(), ApiError> {
    let gone = data.join("staging").join(Uuid::new_v4().to_string());
    blocking(move || {
        if plan.exists() {
            move_durably(&plan, &gone)?;
            remove_all(&gone)?;
        }
        Ok(())
    })
    .await
}
