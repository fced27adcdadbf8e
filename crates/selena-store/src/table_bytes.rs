//! How much the tables hold that grow.

use std::collections::BTreeMap;

use rusqlite::Connection;
use selena_core::ports::{StoreError, TableBytes};

use crate::error::failed;

pub(crate) fn read(connection: &Connection) -> Result<TableBytes, StoreError> {
    let sum = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|sum| sum.cast_unsigned());
    let read = || {
        // Each row knows the sum of all before it: both ends of the index are enough.
        let events =
            sum("SELECT coalesce((SELECT bytes_before + octet_length(payload) FROM events ORDER BY seq DESC LIMIT 1)
            - (SELECT bytes_before FROM events ORDER BY seq LIMIT 1), 0)")?;
        let audit = sum(
            "SELECT coalesce(sum(octet_length(event) + octet_length(subject) + octet_length(detail)), 0) FROM audit",
        )?;
        let of_modules = "SELECT coalesce(module_id, ''), sum(history_bytes) FROM devices GROUP BY module_id";
        let mut statement = connection.prepare(of_modules)?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()));
        let device_histories = statement.query_map([], row)?.collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
        Ok(TableBytes { events, audit, device_histories })
    };
    read().map_err(failed("measuring the tables"))
}
