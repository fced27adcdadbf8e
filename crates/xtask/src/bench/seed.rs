//! Rows put into a stopped hub's database: what it would take minutes to make by asking.

use std::{collections::HashSet, path::Path};

use anyhow::Context;
use rusqlite::{Connection, params, params_from_iter, types::Value};
use serde_json::json;
use uuid::Uuid;

fn open(data: &Path) -> anyhow::Result<Connection> {
    let path = data.join("selena.db");
    let open = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE);
    open.with_context(|| format!("a hub has to make {} first", path.display()))
}

/// Installed modules that a person stopped.
pub(super) fn modules(data: &Path, count: u32) -> anyhow::Result<()> {
    let mut database = open(data)?;
    let columns = columns(&database, "modules")?;
    let transaction = database.transaction()?;
    for n in 0..count {
        let (name, port) = (format!("bench-module-{n}"), 8100 + n);
        let manifest = json!({
            "name": name, "version": "1.0.0", "type": "DRIVER", "api_version": "1.0", "port": port,
            "permissions": ["device.read", "device.write", "events.publish", "events.subscribe"],
            "description": "A module that is installed and stopped", "author": "The benchmark",
        });
        let token = hex::encode(Uuid::new_v4().as_bytes().repeat(2));
        let mut values: Vec<(&str, Value)> = vec![
            ("name", name.into()),
            ("version", "1.0.0".to_owned().into()),
            ("type", "DRIVER".to_owned().into()),
            ("runtime_mode", "always_on".to_owned().into()),
            ("manifest", manifest.to_string().into()),
            ("has_main_py", 0.into()),
            ("state", "STOPPED".to_owned().into()),
            ("port", port.into()),
            ("uid", (200_000 + n).into()),
            ("wanted", 0.into()),
            ("webhook_secret", vec![0_u8; 60].into()),
            ("token", token.into()),
            ("granted", "{}".to_owned().into()),
            ("installed_at", 1.into()),
            ("crashes", "[]".to_owned().into()),
        ];
        // A hub of an earlier schema, measured for comparison, has fewer of them.
        values.retain(|(column, _)| columns.contains(*column));
        insert(&transaction, "modules", &values)?;
    }
    Ok(transaction.commit()?)
}

fn columns(database: &Connection, table: &str) -> anyhow::Result<HashSet<String>> {
    let mut statement = database.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

fn insert(database: &Connection, table: &str, values: &[(&str, Value)]) -> anyhow::Result<()> {
    let columns: Vec<_> = values.iter().map(|(column, _)| *column).collect();
    let places: Vec<_> = (1..=values.len()).map(|place| format!("?{place}")).collect();
    let sql = format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), places.join(", "));
    let values = values.iter().map(|(_, value)| value);
    database.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    Ok(())
}

/// Devices of the development token; by the API one module may have 500.
pub(super) fn devices(data: &Path, count: usize) -> anyhow::Result<()> {
    let mut database = open(data)?;
    let transaction = database.transaction()?;
    for n in 0..count {
        let values =
            params![Uuid::new_v4().to_string(), device_name(n), capabilities().to_string(), meta(n).to_string()];
        transaction.execute(
            "INSERT INTO devices (device_id, name, type, protocol, state, capabilities, module_id, meta, history_first,
                history_next, history_bytes)
             VALUES (?1, ?2, 'actuator', 'bench', '{}', ?3, 'dev-module', ?4, 0, 0, 0)",
            values,
        )?;
    }
    Ok(transaction.commit()?)
}

/// What a device of the benchmark is called.
pub(super) fn device_name(n: usize) -> String {
    format!("Ceiling lamp {n}")
}

/// What it can do.
pub(super) fn capabilities() -> serde_json::Value {
    json!(["on_off", "brightness"])
}

/// What its module says about it.
pub(super) fn meta(n: usize) -> serde_json::Value {
    json!({ "room": format!("room {}", n % 12), "address": format!("00:11:22:33:{:02x}:{:02x}", n / 256 % 256, n % 256) })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use selena_core::ports::Store;
    use selena_store::Sqlite;

    use super::*;

    /// Fails when the schema changes and this file does not.
    #[test]
    fn the_store_reads_what_was_put_into_its_database() {
        let data = tempfile::tempdir().unwrap();
        drop(Sqlite::open(data.path()).unwrap());
        modules(data.path(), 50).unwrap();
        devices(data.path(), 30).unwrap();
        let store = Sqlite::open(data.path()).unwrap();
        let (answer, answered) = mpsc::channel();
        store.read(Box::new(move |rows| {
            let rows = rows.expect("a reader");
            answer
                .send((rows.modules().expect("modules").len(), rows.devices().expect("devices").len()))
                .expect("sent");
        }));
        assert_eq!(answered.recv().unwrap(), (50, 30));
    }
}
