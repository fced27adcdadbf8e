//! The schema, in numbered steps that only add: the version before must be able to read the database,
//! since the other slot may come back.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::OpenError;

/// Step n brings the schema from n to n + 1. A step that was released is never changed.
const STEPS: &[&str] = &[
    "
    CREATE TABLE modules (
        name TEXT PRIMARY KEY,
        version TEXT NOT NULL,
        type TEXT NOT NULL,
        runtime_mode TEXT NOT NULL,
        manifest TEXT NOT NULL,
        has_main_py INTEGER NOT NULL,
        state TEXT NOT NULL,
        error TEXT,
        port INTEGER UNIQUE,
        uid INTEGER NOT NULL UNIQUE,
        wanted INTEGER NOT NULL,
        webhook_secret BLOB NOT NULL,
        token TEXT,
        granted TEXT NOT NULL,
        installed_at INTEGER NOT NULL,
        started_at INTEGER,
        report TEXT,
        crashes TEXT NOT NULL
    ) STRICT;

    CREATE TABLE tokens (
        hash TEXT PRIMARY KEY,
        module TEXT NOT NULL,
        issued_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tokens_by_module ON tokens (module, issued_at);

    CREATE TABLE devices (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        device_id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        type TEXT NOT NULL,
        protocol TEXT NOT NULL,
        state TEXT NOT NULL,
        capabilities TEXT NOT NULL,
        last_seen REAL,
        module_id TEXT,
        meta TEXT NOT NULL,
        history_first INTEGER NOT NULL,
        history_next INTEGER NOT NULL,
        history_bytes INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX devices_by_module ON devices (module_id);

    CREATE TABLE device_history (
        device INTEGER NOT NULL,
        n INTEGER NOT NULL,
        state TEXT NOT NULL,
        timestamp REAL NOT NULL,
        PRIMARY KEY (device, n)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
        type TEXT NOT NULL,
        source TEXT NOT NULL,
        timestamp INTEGER NOT NULL,
        payload TEXT NOT NULL,
        bytes_before INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE audit (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        timestamp INTEGER NOT NULL,
        event TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail TEXT NOT NULL,
        count INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX audit_equal ON audit (event, subject, timestamp);

    CREATE TABLE settings (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE module_config (
        module TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (module, key)
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE modules ADD COLUMN previous TEXT;
    ALTER TABLE modules ADD COLUMN on_probation INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE modules ADD COLUMN last_update TEXT;
",
    "
    ALTER TABLE modules ADD COLUMN signed_by TEXT;

    CREATE TABLE publishers (
        key_id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        public_key BLOB NOT NULL,
        trust TEXT NOT NULL,
        added_at INTEGER NOT NULL,
        replaces TEXT,
        revoked_at INTEGER,
        reason TEXT
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE vault_counters (
        module TEXT NOT NULL,
        provider TEXT NOT NULL,
        reserved INTEGER NOT NULL,
        floor INTEGER NOT NULL,
        PRIMARY KEY (module, provider)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE oauth_sessions (
        module TEXT NOT NULL,
        provider TEXT NOT NULL,
        sealed BLOB NOT NULL,
        PRIMARY KEY (module, provider)
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE modules ADD COLUMN crash_times TEXT;
",
];

/// Setting that names the oldest schema whose hubs can still read the database. The first step that is not additive
/// writes it; without it every hub can.
const OLDEST_READER: &str = "schema_oldest_reader";

/// Why the schema was not brought up to date.
#[derive(Debug)]
pub(crate) enum MigrationError {
    Newer { found: usize, known: usize },
    Sqlite(rusqlite::Error),
}

impl MigrationError {
    pub(crate) fn into_open_error(self, path: &Path) -> OpenError {
        match self {
            Self::Newer { found, known } => OpenError::Newer { found, known },
            Self::Sqlite(source) => OpenError::Database { path: path.to_owned(), source },
        }
    }
}

impl From<rusqlite::Error> for MigrationError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// How many steps there are.
pub(crate) fn known() -> usize {
    STEPS.len()
}

/// Runs the first steps on a database that has none.
pub(crate) fn run_first(connection: &Connection, steps: usize) -> Result<(), rusqlite::Error> {
    STEPS.iter().take(steps).try_for_each(|step| connection.execute_batch(step))
}

/// Runs the steps that are missing, each in a transaction of its own.
pub(crate) fn run(connection: &Connection) -> Result<(), MigrationError> {
    let found: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > STEPS.len() {
        return if readable(connection)? { Ok(()) } else { Err(MigrationError::Newer { found, known: STEPS.len() }) };
    }
    for (number, step) in STEPS.iter().enumerate().skip(found) {
        let next = number + 1;
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {step} PRAGMA user_version = {next}; COMMIT;"))?;
    }
    Ok(())
}

/// Whether this hub may use a database that a newer one brought up to date: its steps only added.
fn readable(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let sql = "SELECT value FROM settings WHERE key = ?1";
    let oldest: Option<String> = connection.query_row(sql, [OLDEST_READER], |row| row.get(0)).optional()?;
    Ok(oldest.is_none_or(|oldest| oldest.parse().is_ok_and(|oldest: usize| oldest <= STEPS.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d12_a_module_from_before_signatures_is_one_that_nobody_signed() {
        let connection = Connection::open_in_memory().expect("a database");
        for step in &STEPS[..2] {
            connection.execute_batch(step).expect("a step");
        }
        connection.pragma_update(None, "user_version", 2).expect("written");
        let row = "INSERT INTO modules VALUES ('lamp', '1.0.0', 'DRIVER', 'always_on', '{}', 0, 'STOPPED', NULL, 8100,
            400000, 1, x'', NULL, '{}', 0, NULL, NULL, '[]')";
        connection.execute(row, []).expect("a module");
        run(&connection).expect("brought up to date");
        let modules = crate::modules::all(&connection).expect("readable");
        assert_eq!((modules.len(), &modules[0].signed_by), (1, &None));
        assert_eq!(crate::publishers::all(&connection).expect("readable"), []);
    }
}
