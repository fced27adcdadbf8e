//! The database of a backup, on the stage: read, and made this hub's own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use selena_backup::{Index, KeptSecrets, Scope};
use selena_types::{ModuleName, ModuleState};

use super::{
    super::{Modules, at_start},
    create::blocking_copy,
    invalid,
};
use crate::{
    ApiError, ModuleRecord, PublisherKey,
    ports::{Store, StoreCopies, VaultCounters},
    transact::{read, write},
};

/// A database that was found sound.
pub(super) struct StagedDatabase {
    store: Arc<dyn Store>,
    dir: PathBuf,
    pub(super) records: BTreeMap<ModuleName, ModuleRecord>,
    pub(super) publishers: Vec<PublisherKey>,
}

/// One whose secrets this hub's key seals.
pub(super) struct Sealed {
    pub(super) database: StagedDatabase,
    pub(super) tokens: Vec<u8>,
}

impl StagedDatabase {
    /// Opens it, if it is sound, a hub's, and what the index says.
    pub(super) async fn open(copies: &dyn StoreCopies, dir: &Path, index: &Index) -> Result<Self, ApiError> {
        copies.check(dir)?;
        let store = copies.open(dir)?;
        let found = read(&store, |rows| {
            // All that the hub reads when it starts, so that it is known now to be readable.
            let (_devices, _seq) = (rows.devices()?, rows.last_seq()?);
            Ok((rows.modules()?, rows.publisher_keys()?))
        });
        let found = found.await.map_err(|error| match error {
            ApiError::Internal(source) => invalid(format!("its database has a row that is none: {}", chain(&*source))),
            other => other,
        });
        let (records, publishers) = found?;
        let records: BTreeMap<_, _> = records.into_iter().map(|record| (record.name.clone(), record)).collect();
        let named: BTreeMap<_, _> = index.modules.iter().map(|module| (&module.name, module)).collect();
        let fits = records.len() == named.len()
            && records
                .values()
                .all(|record| named.get(&record.name).is_some_and(|indexed| indexed.version == record.version));
        if !fits {
            return Err(invalid("its database has other modules than its list"));
        }
        if index.scope != Scope::Hub && !publishers.is_empty() {
            return Err(invalid("a backup of one module has no publishers"));
        }
        Ok(Self { store, dir: dir.to_owned(), records, publishers })
    }

    /// Makes the rows this hub's: its secrets, its id, no token and no sign-in of before.
    pub(super) async fn seal(mut self, hub: &Modules, secrets: KeptSecrets) -> Result<Sealed, ApiError> {
        for record in self.records.values_mut() {
            record.webhook_secret = hub.seal_webhook(record, &secrets)?;
            record.token = None;
            record.on_probation = false;
            let known = !matches!(record.state, ModuleState::Validating | ModuleState::Removed | ModuleState::Uploaded);
            if !known {
                return Err(invalid(format!("`{}` is half installed or half removed in it", record.name)));
            }
            *record = at_start(record.clone());
        }
        for token in &secrets.tokens {
            let record = self.records.get(&token.module);
            let names = record.is_some_and(|record| hub.providers_of(record).contains_key(&token.provider));
            if !names {
                return Err(invalid("it has a token that none of its modules can have"));
            }
        }
        let hub_id = crate::hub_id(hub.parts.api.store()).await?;
        let mut counters = BTreeMap::new();
        let places = secrets.tokens.iter().map(|token| (token.module.clone(), token.provider.clone()));
        for (module, provider) in places.chain(hub.kept().places().await?) {
            let place = (module.clone(), provider.clone());
            let asked = read(hub.parts.api.store(), move |rows| rows.vault_counters(&module, &provider));
            counters.insert(place, asked.await?);
        }
        let records: Vec<_> = self.records.values().cloned().collect();
        write(&self.store, move |tx| {
            for (module, provider, _) in tx.oauth_sessions()? {
                tx.delete_oauth_session(&module, &provider)?;
            }
            records.iter().try_for_each(|record| tx.put_module(record))?;
            // No file of either hub that was ever put away is accepted again.
            for ((module, provider), here) in counters {
                let there = tx.vault_counters(&module, &provider)?;
                let (reserved, floor) = (here.reserved.max(there.reserved), here.floor.max(there.floor));
                tx.put_vault_counters(&module, &provider, VaultCounters { reserved, floor })?;
            }
            tx.put_setting(crate::hub_id::KEY, &hub_id)?;
            Ok(())
        })
        .await?;
        let tokens = hub.seal_tokens(secrets.tokens)?;
        Ok(Sealed { database: self, tokens })
    }

    /// Closes it; what is known of its modules.
    pub(super) fn finish(self, copies: &dyn StoreCopies) -> Result<BTreeMap<ModuleName, ModuleRecord>, ApiError> {
        let Self { store, dir, records, .. } = self;
        drop(store);
        copies.finish(&dir)?;
        Ok(records)
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    crate::error::chain(error)
}

/// The rows of the one module of a database, for a store that has none of it.
pub(super) async fn rows_of(
    copies: Arc<dyn StoreCopies>,
    dir: PathBuf,
) -> Result<
    (ModuleRecord, serde_json::Map<String, serde_json::Value>, Vec<(selena_types::Device, Vec<selena_types::StateAt>)>),
    ApiError,
> {
    let store = blocking_copy(move || Ok(copies.open(&dir)?)).await?;
    let found = read(&store, |rows| {
        let mut records = rows.modules()?;
        let Some(record) = records.pop() else { return Ok(None) };
        let config = rows.module_config(&record.name)?;
        let mut devices = Vec::new();
        for device in rows.devices()?.into_iter().filter(|device| device.module_id.as_ref() == Some(&record.name)) {
            let states = rows.history(device.device_id, None, super::create::MOST_STATES)?;
            devices.push((device, states));
        }
        Ok(Some((record, config, devices)))
    })
    .await;
    blocking_copy(move || {
        drop(store);
        Ok(())
    })
    .await?;
    found?.ok_or_else(|| invalid("its database has no module"))
}
