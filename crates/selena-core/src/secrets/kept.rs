//! Secrets in the vault, with the version counters that keep an old file from being put back (protocol, section 7).
//!
//! Two counters of each place lie in the database. `reserved` is raised before a file is written, so that no version is
//! sealed twice, also if the hub is killed in between. `floor` is raised after the file is durable, and a file below it is
//! refused (S09). File first, then floor: a kill between the two leaves a file above the floor, which is good and raises
//! the floor when it is read next. The other way round, the kill would leave the only file below the floor, which is lost.
//! The counters outlive the file: a later module of that name does not accept the files of the one before.

use std::sync::Arc;

use selena_types::{ModuleName, Secret};

use crate::{
    ApiError,
    ports::{Store, Tx, Vault, VaultCounters, VaultError},
    transact::{read, write},
};

/// Why a secret was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    /// The file is an older version that was put back (S09).
    #[error(
        "the secret of `{module}` for `{provider}` is an older one that was put back; the module has to log in again"
    )]
    RolledBack {
        /// The module.
        module: ModuleName,
        /// The provider.
        provider: String,
    },
    /// The file itself.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The counters.
    #[error("the version of a secret could not be read or stored")]
    Store(#[source] ApiError),
}

impl KeptError {
    /// The machine's word for the audit log, if the secret is lost: its module has to log in again.
    pub(crate) fn lost(&self) -> Option<&'static str> {
        match self {
            Self::RolledBack { .. } => Some("secret_rolled_back"),
            Self::Vault(VaultError::Corrupt { .. }) => Some("secret_corrupt"),
            Self::Vault(VaultError::Locked { .. }) => Some("secret_locked"),
            Self::Vault(VaultError::Refused { .. }) => Some("secret_refused"),
            Self::Vault(_) | Self::Store(_) => None,
        }
    }
}

impl From<KeptError> for ApiError {
    fn from(error: KeptError) -> Self {
        match error {
            KeptError::Store(error) => error,
            KeptError::Vault(VaultError::DiskFull) => Self::DiskFull,
            other => Self::internal(other),
        }
    }
}

/// The vault and its counters.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) vault: Arc<dyn Vault>,
}

impl Kept {
    /// Reads a secret; `None` if there is none.
    pub(crate) async fn read(&self, module: &ModuleName, provider: &str) -> Result<Option<Secret>, KeptError> {
        let (place, file) = (place(module, provider), place(module, provider));
        let stored = self.blocking(move |vault| vault.read(&file.0, &file.1)).await?;
        let Some(stored) = stored else { return Ok(None) };
        let found = place.clone();
        let counters = read(&self.store, move |rows| rows.vault_counters(&found.0, &found.1)).await;
        let counters = counters.map_err(KeptError::Store)?;
        if stored.counter < counters.floor {
            return Err(KeptError::RolledBack { module: place.0, provider: place.1 });
        }
        if stored.counter > counters.floor {
            self.raise(place, stored.counter, |_| Ok(())).await?;
        }
        Ok(Some(stored.secret))
    }

    /// Writes a secret. It is durable when this returns, and what `with_it` writes is in the transaction that says so.
    pub(crate) async fn write(
        &self,
        module: &ModuleName,
        provider: &str,
        secret: Secret,
        with_it: impl FnOnce(&mut dyn Tx) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<(), KeptError> {
        let (place, reserving, file) = (place(module, provider), place(module, provider), place(module, provider));
        let reserved = write(&self.store, move |tx| {
            let counters = tx.vault_counters(&reserving.0, &reserving.1)?;
            let reserved = counters.reserved.max(counters.floor) + 1;
            tx.put_vault_counters(&reserving.0, &reserving.1, VaultCounters { reserved, ..counters })?;
            Ok(reserved)
        });
        let counter = reserved.await.map_err(KeptError::Store)?;
        self.blocking(move |vault| vault.write(&file.0, &file.1, counter, &secret)).await?;
        self.raise(place, counter, with_it).await
    }

    /// Deletes a secret; no file of it is accepted any more, also if it is put back.
    pub(crate) async fn delete(&self, module: &ModuleName, provider: &str) -> Result<(), KeptError> {
        let (file, place) = (place(module, provider), place(module, provider));
        let outdated = write(&self.store, move |tx| {
            let counters = tx.vault_counters(&place.0, &place.1)?;
            let floor = counters.reserved.max(counters.floor) + 1;
            Ok(tx.put_vault_counters(&place.0, &place.1, VaultCounters { reserved: floor, floor })?)
        });
        outdated.await.map_err(KeptError::Store)?;
        self.blocking(move |vault| vault.delete(&file.0, &file.1)).await
    }

    /// Deletes all secrets of a module.
    pub(crate) async fn delete_module(&self, module: &ModuleName) -> Result<(), KeptError> {
        // All of them, also those whose file somebody took away for now.
        let outdated = module.clone();
        let outdated = write(&self.store, move |tx| Ok(tx.outdate_vault_counters(&outdated)?));
        outdated.await.map_err(KeptError::Store)?;
        let module = module.clone();
        self.blocking(move |vault| vault.delete_module(&module)).await
    }

    /// Where there are secrets.
    pub(crate) async fn places(&self) -> Result<Vec<(ModuleName, String)>, KeptError> {
        self.blocking(|vault| vault.places()).await
    }

    async fn raise(
        &self,
        place: (ModuleName, String),
        floor: u64,
        with_it: impl FnOnce(&mut dyn Tx) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<(), KeptError> {
        let raised = write(&self.store, move |tx| {
            let counters = tx.vault_counters(&place.0, &place.1)?;
            // Never lower: what was deleted meanwhile stays refused.
            let raised = VaultCounters { reserved: counters.reserved.max(floor), floor: counters.floor.max(floor) };
            tx.put_vault_counters(&place.0, &place.1, raised)?;
            with_it(tx)
        });
        raised.await.map_err(KeptError::Store)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Vault) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, KeptError> {
        let vault = self.vault.clone();
        let done = tokio::task::spawn_blocking(move || work(&*vault)).await;
        Ok(done.map_err(|panic| KeptError::Store(ApiError::internal(panic)))??)
    }
}

fn place(module: &ModuleName, provider: &str) -> (ModuleName, String) {
    (module.clone(), provider.to_owned())
}
