//! Copies of the database: the core's port `StoreCopies`.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use selena_core::ports::{CopyError, DATABASE_FILE, Store, StoreCopies};

use crate::{OpenError, Sqlite, migrations};

/// Copies of the database in one data directory.
#[derive(Debug)]
pub struct SqliteCopies {
    database: PathBuf,
}

impl SqliteCopies {
    /// Of the hub with this data directory.
    #[must_use]
    pub fn of(data_dir: &Path) -> Self {
        Self { database: data_dir.join(DATABASE_FILE) }
    }
}

impl StoreCopies for SqliteCopies {
    fn copy_into(&self, dir: &Path) -> Result<(), CopyError> {
        let failed = failed("copying the database");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.database, flags).map_err(&failed)?;
        let into = dir.join(DATABASE_FILE);
        connection.execute("VACUUM INTO ?1", [into.to_string_lossy()]).map_err(&failed)?;
        Ok(())
    }

    fn check(&self, dir: &Path) -> Result<(), CopyError> {
        let connection = open_distrusted(&dir.join(DATABASE_FILE)).map_err(refused)?;
        let found: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(refused)?;
        let known = migrations::known();
        if found > known {
            return Err(CopyError::Newer { found, known });
        }
        // Its schema first: nothing of it is read before it is known that reading it starts nothing.
        if found == 0 || schema(&connection).map_err(refused)? != expected_schema(found)? {
            return Err(CopyError::Refused("its tables are not those of a hub".to_owned()));
        }
        let found = integrity(&connection).map_err(refused)?;
        if found == "ok" { Ok(()) } else { Err(CopyError::Refused(found)) }
    }

    fn open(&self, dir: &Path) -> Result<Arc<dyn Store>, CopyError> {
        match Sqlite::open(dir) {
            Ok(store) => Ok(Arc::new(store)),
            Err(OpenError::Newer { found, known }) => Err(CopyError::Newer { found, known }),
            Err(OpenError::Database { source, .. }) => Err(failed("opening a copy of the database")(source)),
            Err(error) => {
                Err(CopyError::Failed { attempted: "opening a copy of the database", source: Box::new(error) })
            }
        }
    }

    fn finish(&self, dir: &Path) -> Result<(), CopyError> {
        let attempted = "closing a copy of the database";
        let (path, failed) = (dir.join(DATABASE_FILE), failed(attempted));
        let connection = Connection::open(&path).map_err(&failed)?;
        // Takes in what is in the side files, and removes them.
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get(0)).map_err(&failed)?;
        if mode != "delete" {
            return Err(CopyError::Failed { attempted, source: "somebody has it open".into() });
        }
        let found = integrity(&connection).map_err(&failed)?;
        if found != "ok" {
            return Err(CopyError::Refused(found));
        }
        drop(connection);
        let synced = File::open(&path).and_then(|file| file.sync_all()).and_then(|()| File::open(dir)?.sync_all());
        synced.map_err(|source| CopyError::Failed { attempted, source: Box::new(source) })
    }
}

/// A connection that runs nothing a database brings: no trigger, view or expression of its schema may call a function
/// that does something, and its pages are checked as they are read.
fn open_distrusted(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let _on = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    let _off = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    let _off = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    let _off = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

/// The first thing that is wrong, or `ok`.
fn integrity(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
}

/// Everything a schema has: kind, name, table and text.
type Schema = Vec<(String, String, String, Option<String>)>;

fn schema(connection: &Connection) -> rusqlite::Result<Schema> {
    let sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    rows.collect()
}

/// The schema of a hub that knows so many steps.
fn expected_schema(steps: usize) -> Result<Schema, CopyError> {
    let failed = failed("making a schema to compare with");
    let connection = Connection::open_in_memory().map_err(&failed)?;
    migrations::run_first(&connection, steps).map_err(&failed)?;
    schema(&connection).map_err(&failed)
}

fn refused(error: rusqlite::Error) -> CopyError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => CopyError::DiskFull,
        _ => CopyError::Refused(error.to_string()),
    }
}

fn failed(attempted: &'static str) -> impl Fn(rusqlite::Error) -> CopyError {
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => CopyError::DiskFull,
        _ => CopyError::Failed { attempted, source: Box::new(error) },
    }
}
