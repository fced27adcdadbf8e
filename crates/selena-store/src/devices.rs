//! Tables `devices` and `device_history`.

use rusqlite::{Connection, OptionalExtension, Row, params};
use selena_core::ports::StoreError;
use selena_types::{Device, DeviceId, ModuleName, StateAt};
use serde::de::DeserializeOwned;

use crate::error::{failed, unreadable};

/// How many states of a device are kept (protocol, section 5).
const KEPT_STATES: i64 = 1000;
/// How many bytes of states of a device are kept.
const KEPT_BYTES: i64 = 4 * 1024 * 1024;

const COLUMNS: &str = "device_id, name, type, protocol, state, capabilities, last_seen, module_id, meta";

pub(crate) fn all(connection: &Connection) -> Result<Vec<Device>, StoreError> {
    select(connection, "ORDER BY n", [])
}

pub(crate) fn of(connection: &Connection, module: &ModuleName) -> Result<Vec<Device>, StoreError> {
    select(connection, "WHERE module_id = ?1 ORDER BY n", [module.as_str()])
}

fn select(connection: &Connection, which: &str, params: impl rusqlite::Params) -> Result<Vec<Device>, StoreError> {
    let failed = failed("reading devices");
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM devices {which}")).map_err(&failed)?;
    let devices = statement.query_map(params, device).map_err(&failed)?;
    devices.collect::<Result<_, _>>().map_err(&failed)
}

pub(crate) fn count(connection: &Connection, module: &ModuleName) -> Result<usize, StoreError> {
    let sql = "SELECT count(*) FROM devices WHERE module_id = ?1";
    connection.query_row(sql, [module.as_str()], |row| row.get(0)).map_err(failed("counting devices"))
}

pub(crate) fn get(connection: &Connection, id: DeviceId) -> Result<Option<Device>, StoreError> {
    let failed = failed("reading a device");
    let sql = "SELECT device_id, name, type, protocol, state, capabilities, last_seen, module_id, meta
        FROM devices WHERE device_id = ?1";
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    statement.query_row([id.to_string()], device).optional().map_err(&failed)
}

pub(crate) fn put(connection: &Connection, device: &Device) -> Result<(), StoreError> {
    let failed = failed("writing a device");
    let sql = "INSERT INTO devices (device_id, name, type, protocol, state, capabilities, last_seen, module_id, meta,
            history_first, history_next, history_bytes)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0)
        ON CONFLICT (device_id) DO UPDATE SET name = excluded.name, type = excluded.type, protocol = excluded.protocol,
            state = excluded.state, capabilities = excluded.capabilities, last_seen = excluded.last_seen,
            module_id = excluded.module_id, meta = excluded.meta";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement.execute(params![
                device.device_id.to_string(),
                device.name,
                device.kind.as_str(),
                device.protocol,
                json(&device.state),
                json(&device.capabilities),
                device.last_seen,
                device.module_id.as_ref().map(ModuleName::as_str),
                json(&device.meta),
            ])
        })
        .map_err(failed)?;
    Ok(())
}

/// Where a device's history stands.
struct Extent {
    device: i64,
    first: i64,
    next: i64,
    bytes: i64,
}

/// Writes a device's new state and appends it to its history.
pub(crate) fn set_state(connection: &Connection, device: &Device, at: f64) -> Result<(), StoreError> {
    write_state(connection, device, at).map_err(failed("writing a device's state"))
}

fn write_state(connection: &Connection, device: &Device, at: f64) -> rusqlite::Result<()> {
    let id = device.device_id.to_string();
    let state = json(&device.state);
    let mut select = connection
        .prepare_cached("SELECT n, history_first, history_next, history_bytes FROM devices WHERE device_id = ?1")?;
    let mut extent = select.query_row([&id], |row| {
        Ok(Extent { device: row.get(0)?, first: row.get(1)?, next: row.get(2)?, bytes: row.get(3)? })
    })?;
    connection
        .prepare_cached("INSERT INTO device_history (device, n, state, timestamp) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![extent.device, extent.next, state, at])?;
    extent.next += 1;
    extent.bytes += i64::try_from(state.len()).unwrap_or(i64::MAX);
    while extent.next - extent.first > KEPT_STATES || extent.bytes > KEPT_BYTES {
        drop_oldest(connection, &mut extent)?;
    }
    connection
        .prepare_cached(
            "UPDATE devices SET state = ?2, last_seen = ?3, history_first = ?4, history_next = ?5, history_bytes = ?6
                WHERE n = ?1",
        )?
        .execute(params![extent.device, state, at, extent.first, extent.next, extent.bytes])?;
    Ok(())
}

fn drop_oldest(connection: &Connection, extent: &mut Extent) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM device_history WHERE device = ?1 AND n = ?2 RETURNING length(CAST(state AS BLOB))",
    )?;
    let bytes: Option<i64> = delete.query_row(params![extent.device, extent.first], |row| row.get(0)).optional()?;
    extent.first += 1;
    extent.bytes -= bytes.unwrap_or_default();
    Ok(())
}

pub(crate) fn delete(connection: &Connection, id: DeviceId) -> Result<(), StoreError> {
    let failed = failed("deleting a device");
    let id = id.to_string();
    connection
        .execute("DELETE FROM device_history WHERE device = (SELECT n FROM devices WHERE device_id = ?1)", [&id])
        .map_err(&failed)?;
    connection.execute("DELETE FROM devices WHERE device_id = ?1", [&id]).map_err(&failed)?;
    Ok(())
}

pub(crate) fn history(
    connection: &Connection,
    id: DeviceId,
    since: Option<f64>,
    limit: usize,
) -> Result<Vec<StateAt>, StoreError> {
    let failed = failed("reading a device's history");
    let sql = "SELECT state, timestamp FROM device_history
        WHERE device = (SELECT n FROM devices WHERE device_id = ?1) AND timestamp > ?2 ORDER BY n DESC LIMIT ?3";
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    let since = since.unwrap_or(f64::MIN);
    let states = statement
        .query_map(params![id.to_string(), since, limit], |row| {
            Ok(StateAt { state: read(row, 0)?, timestamp: row.get(1)? })
        })
        .map_err(&failed)?;
    states.collect::<Result<_, _>>().map_err(&failed)
}

fn device(row: &Row<'_>) -> rusqlite::Result<Device> {
    let text = |column: usize| row.get::<_, String>(column);
    let module: Option<String> = row.get(7)?;
    Ok(Device {
        device_id: text(0)?.parse().map_err(|error| unreadable(0, error))?,
        name: text(1)?,
        kind: text(2)?.parse().map_err(|error| unreadable(2, error))?,
        protocol: text(3)?,
        state: read(row, 4)?,
        capabilities: read(row, 5)?,
        last_seen: row.get(6)?,
        module_id: module.map(read_name).transpose()?,
        meta: read(row, 8)?,
    })
}

fn read_name(name: String) -> rusqlite::Result<ModuleName> {
    if name == ModuleName::development().as_str() {
        return Ok(ModuleName::development());
    }
    name.parse().map_err(|error| unreadable(7, error))
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("a device's fields are JSON: their keys are texts")
}

fn read<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}
