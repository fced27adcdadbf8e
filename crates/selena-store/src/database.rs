//! Connections and their settings.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

/// How long a lock of another process is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The writer's connection: WAL, every commit on the disk before it is answered.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    make_private(path);
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 1000)?;
    connection.pragma_update(None, "journal_size_limit", 8 * 1024 * 1024)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The file is the hub's alone; SQLite gives its side files the same mode. If it cannot be made here, SQLite says why.
fn make_private(path: &Path) {
    if let Err(error) = OpenOptions::new().create(true).append(true).mode(0o600).open(path) {
        tracing::debug!(%error, "the database file could not be made");
    }
}

/// The pages a store in memory may have: 16 MiB.
pub(crate) fn limit_memory(connection: &Connection) -> rusqlite::Result<()> {
    let _now: i64 = connection.pragma_update_and_check(None, "max_page_count", 4096, |row| row.get(0))?;
    Ok(())
}

/// A reader's connection: it cannot write.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -512)?;
    Ok(connection)
}
