//! Table `tokens`: hashes of tokens, also of those that are not valid any more, for audit.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use selena_core::ports::StoreError;
use selena_types::{ModuleName, TokenHash};

use crate::error::failed;

/// How many hashes of one module are kept.
const KEPT: usize = 16;

pub(crate) fn owner(connection: &Connection, hash: &TokenHash) -> Result<Option<String>, StoreError> {
    let query = connection.query_row("SELECT module FROM tokens WHERE hash = ?1", [&hash.0], |row| row.get(0));
    query.optional().map_err(failed("looking a token up"))
}

pub(crate) fn put(
    connection: &Connection,
    hash: &TokenHash,
    module: &ModuleName,
    at: Timestamp,
) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT OR IGNORE INTO tokens (hash, module, issued_at) VALUES (?1, ?2, ?3)",
            params![hash.0, module.as_str(), at.as_microsecond()],
        )
        .map_err(failed("keeping a token's hash"))?;
    connection
        .execute(
            "DELETE FROM tokens WHERE module = ?1 AND hash NOT IN
                (SELECT hash FROM tokens WHERE module = ?1 ORDER BY issued_at DESC LIMIT ?2)",
            params![module.as_str(), KEPT],
        )
        .map_err(failed("dropping old token hashes"))?;
    Ok(())
}
