//! Table `settings`: values of the hub itself.

use rusqlite::{Connection, OptionalExtension, params};
use selena_core::ports::StoreError;

use crate::error::failed;

pub(crate) fn get(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT value FROM settings WHERE key = ?1").map_err(failed("reading a setting"))?;
    statement.query_row([key], |row| row.get(0)).optional().map_err(failed("reading a setting"))
}

pub(crate) fn put(connection: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.execute(sql, params![key, value]).map_err(failed("writing a setting"))?;
    Ok(())
}
