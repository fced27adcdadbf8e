//! Table `vault_counters`: the versions of secrets in the vault, also of those that are gone.

use rusqlite::{Connection, OptionalExtension, params};
use selena_core::ports::{StoreError, VaultCounters};
use selena_types::ModuleName;

use crate::error::failed;

pub(crate) fn get(connection: &Connection, module: &ModuleName, provider: &str) -> Result<VaultCounters, StoreError> {
    let sql = "SELECT reserved, floor FROM vault_counters WHERE module = ?1 AND provider = ?2";
    let row = connection.query_row(sql, params![module.as_str(), provider], |row| {
        Ok(VaultCounters { reserved: row.get(0)?, floor: row.get(1)? })
    });
    Ok(row.optional().map_err(failed("reading the version of a secret"))?.unwrap_or_default())
}

pub(crate) fn put(
    connection: &Connection,
    module: &ModuleName,
    provider: &str,
    counters: VaultCounters,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO vault_counters (module, provider, reserved, floor) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (module, provider) DO UPDATE SET reserved = excluded.reserved, floor = excluded.floor";
    connection
        .execute(sql, params![module.as_str(), provider, counters.reserved, counters.floor])
        .map_err(failed("writing the version of a secret"))?;
    Ok(())
}

pub(crate) fn outdate(connection: &Connection, module: &ModuleName) -> Result<(), StoreError> {
    let sql = "UPDATE vault_counters SET reserved = max(reserved, floor) + 1, floor = max(reserved, floor) + 1
        WHERE module = ?1";
    connection.execute(sql, [module.as_str()]).map_err(failed("outdating the secrets of a module"))?;
    Ok(())
}
