//! Table `modules`.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use selena_core::{BootTime, CrashTime, ModuleRecord, ports::StoreError};
use selena_signature::KeyId;
use selena_types::{ModuleName, ModulePort, TokenHash};

use crate::error::{failed, unreadable};

pub(crate) fn all(connection: &Connection) -> Result<Vec<ModuleRecord>, StoreError> {
    let failed = failed("reading modules");
    let sql = "SELECT name, version, type, runtime_mode, manifest, has_main_py, state, error, port, uid, wanted,
        webhook_secret, token, granted, installed_at, started_at, report, crashes, previous, on_probation, last_update,
        signed_by, crash_times FROM modules ORDER BY name";
    let mut statement = connection.prepare(sql).map_err(&failed)?;
    let modules = statement.query_map([], module).map_err(&failed)?;
    modules.collect::<Result<_, _>>().map_err(&failed)
}

pub(crate) fn put(connection: &Connection, module: &ModuleRecord) -> Result<(), StoreError> {
    let failed = failed("writing a module");
    let sql = "INSERT INTO modules (name, version, type, runtime_mode, manifest, has_main_py, state, error, port, uid,
            wanted, webhook_secret, token, granted, installed_at, started_at, report, crashes,
            previous, on_probation, last_update, signed_by, crash_times)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)
        ON CONFLICT (name) DO UPDATE SET version = excluded.version, type = excluded.type,
            runtime_mode = excluded.runtime_mode, manifest = excluded.manifest, has_main_py = excluded.has_main_py,
            state = excluded.state, error = excluded.error, port = excluded.port, uid = excluded.uid,
            wanted = excluded.wanted, webhook_secret = excluded.webhook_secret, token = excluded.token,
            granted = excluded.granted, installed_at = excluded.installed_at, started_at = excluded.started_at, report = excluded.report,
            crashes = excluded.crashes, previous = excluded.previous, on_probation = excluded.on_probation,
            last_update = excluded.last_update, signed_by = excluded.signed_by,
            crash_times = excluded.crash_times";
    let crashes: Vec<_> = module.crashes.iter().map(|crash| crash.at.as_microsecond()).collect();
    let crash_times: Vec<_> = module.crashes.iter().map(|crash| &crash.boot_time).collect();
    connection
        .execute(
            sql,
            params![
                module.name.as_str(),
                module.version.to_string(),
                module.module_type.as_str(),
                module.runtime_mode.as_str(),
                module.manifest,
                module.has_main_py,
                module.state.as_str(),
                module.error,
                module.port.map(ModulePort::get),
                module.uid,
                module.wanted,
                module.webhook_secret,
                module.token.as_ref().map(|token| &token.0),
                module.granted.to_string(),
                module.installed_at.as_microsecond(),
                module.started_at.map(Timestamp::as_microsecond),
                module.report.as_ref().map(|report| serde_json::json!(report).to_string()),
                serde_json::json!(crashes).to_string(),
                module.previous.as_ref().map(|previous| serde_json::json!(previous).to_string()),
                module.on_probation,
                module.last_update.as_ref().map(|update| serde_json::json!(update).to_string()),
                module.signed_by.as_ref().map(KeyId::as_str),
                serde_json::json!(crash_times).to_string(),
            ],
        )
        .map_err(failed)?;
    Ok(())
}

pub(crate) fn delete(connection: &Connection, name: &ModuleName) -> Result<(), StoreError> {
    connection.execute("DELETE FROM modules WHERE name = ?1", [name.as_str()]).map_err(failed("deleting a module"))?;
    Ok(())
}

fn module(row: &Row<'_>) -> rusqlite::Result<ModuleRecord> {
    let text = |column: usize| row.get::<_, String>(column);
    let port: Option<u16> = row.get(8)?;
    let started_at: Option<i64> = row.get(15)?;
    let signed_by: Option<String> = row.get(21)?;
    Ok(ModuleRecord {
        name: text(0)?.parse().map_err(|error| unreadable(0, error))?,
        version: text(1)?.parse().map_err(|error| unreadable(1, error))?,
        module_type: text(2)?.parse().map_err(|error| unreadable(2, error))?,
        runtime_mode: text(3)?.parse().map_err(|error| unreadable(3, error))?,
        manifest: text(4)?,
        has_main_py: row.get(5)?,
        signed_by: signed_by.map(|id| id.parse()).transpose().map_err(|error| unreadable(21, error))?,
        state: text(6)?.parse().map_err(|error| unreadable(6, error))?,
        error: row.get(7)?,
        port: port.map(ModulePort::new).transpose().map_err(|error| unreadable(8, error))?,
        uid: row.get(9)?,
        wanted: row.get(10)?,
        webhook_secret: row.get(11)?,
        token: row.get::<_, Option<String>>(12)?.map(TokenHash),
        granted: serde_json::from_str(&text(13)?).map_err(|error| unreadable(13, error))?,
        installed_at: micros(14, row.get(14)?)?,
        started_at: started_at.map(|at| micros(15, at)).transpose()?,
        report: json(row, 16)?,
        crashes: crashes_of(row)?,
        previous: json(row, 18)?,
        on_probation: row.get(19)?,
        last_update: json(row, 20)?,
    })
}

/// Crashes by both clocks. The version before writes the time of day alone: then the other column is of other crashes.
fn crashes_of(row: &Row<'_>) -> rusqlite::Result<Vec<CrashTime>> {
    let days: Vec<i64> = json(row, 17)?.unwrap_or_default();
    let times: Vec<Option<BootTime>> = json(row, 22)?.unwrap_or_default();
    let same = days.len() == times.len();
    let crash = |(n, at): (usize, i64)| {
        let boot_time = times.get(n).filter(|_| same).cloned().flatten();
        Ok(CrashTime { at: micros(17, at)?, boot_time })
    };
    days.into_iter().enumerate().map(crash).collect()
}

/// A value that is kept as JSON, if there is one.
fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| unreadable(column, error))
}

fn micros(column: usize, at: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(at).map_err(|error| unreadable(column, error))
}
