//! Table `oauth_sessions`: sign-ins of modules at providers, sealed by the core.

use rusqlite::{Connection, params};
use selena_core::ports::StoreError;
use selena_types::ModuleName;

use crate::error::{failed, unreadable};

pub(crate) fn all(connection: &Connection) -> Result<Vec<(ModuleName, String, Vec<u8>)>, StoreError> {
    let failed = failed("reading sign-ins");
    let sql = "SELECT module, provider, sealed FROM oauth_sessions ORDER BY module, provider";
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    let rows = statement
        .query_map([], |row| {
            let module: String = row.get(0)?;
            Ok((module.parse().map_err(|error| unreadable(0, error))?, row.get(1)?, row.get(2)?))
        })
        .map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

pub(crate) fn put(
    connection: &Connection,
    module: &ModuleName,
    provider: &str,
    sealed: &[u8],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO oauth_sessions (module, provider, sealed) VALUES (?1, ?2, ?3)
        ON CONFLICT (module, provider) DO UPDATE SET sealed = excluded.sealed";
    connection.execute(sql, params![module.as_str(), provider, sealed]).map_err(failed("writing a sign-in"))?;
    Ok(())
}

pub(crate) fn delete(connection: &Connection, module: &ModuleName, provider: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM oauth_sessions WHERE module = ?1 AND provider = ?2";
    connection.execute(sql, params![module.as_str(), provider]).map_err(failed("deleting a sign-in"))?;
    Ok(())
}
