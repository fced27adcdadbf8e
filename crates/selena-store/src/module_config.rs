//! Table `module_config`: settings of modules, one row a key.

use rusqlite::{Connection, params};
use selena_core::ports::StoreError;
use selena_types::ModuleName;
use serde_json::{Map, Value};

use crate::error::{failed, unreadable};

pub(crate) fn all(connection: &Connection, module: &ModuleName) -> Result<Map<String, Value>, StoreError> {
    let failed = failed("reading a module's settings");
    let sql = "SELECT key, value FROM module_config WHERE module = ?1 ORDER BY key";
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    let rows = statement
        .query_map([module.as_str()], |row| {
            let value: String = row.get(1)?;
            Ok((row.get(0)?, serde_json::from_str(&value).map_err(|error| unreadable(1, error))?))
        })
        .map_err(&failed)?;
    rows.collect::<Result<_, _>>().map_err(&failed)
}

pub(crate) fn put(connection: &Connection, module: &ModuleName, key: &str, value: &Value) -> Result<(), StoreError> {
    let sql = "INSERT INTO module_config (module, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (module, key) DO UPDATE SET value = excluded.value";
    connection
        .execute(sql, params![module.as_str(), key, value.to_string()])
        .map_err(failed("writing a module's setting"))?;
    Ok(())
}

pub(crate) fn delete(connection: &Connection, module: &ModuleName) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM module_config WHERE module = ?1", [module.as_str()])
        .map_err(failed("deleting a module's settings"))?;
    Ok(())
}
