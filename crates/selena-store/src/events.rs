//! Table `events`: the hub's one order of events.
//!
//! `bytes_before` is the sum of all payloads before a row, so that the oldest row within a cap of bytes is found by
//! halving, without reading the payloads.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use selena_core::ports::StoreError;
use selena_types::{Event, EventType};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{failed, unreadable};

/// How many events are kept.
const KEPT: i64 = 100_000;
/// How many bytes of payload are kept.
const KEPT_BYTES: i64 = 64 * 1024 * 1024;
/// What a row weighs besides its payload, in bytes, about.
const ROW_BYTES: i64 = 120;

pub(crate) fn append(
    connection: &Connection,
    id: Uuid,
    event_type: &EventType,
    source: &str,
    timestamp: Timestamp,
    payload: Value,
) -> Result<Event, StoreError> {
    let failed = failed("appending an event");
    let text = payload.to_string();
    let mut newest = connection
        .prepare_cached("SELECT bytes_before + length(payload) + ?1 FROM events ORDER BY seq DESC LIMIT 1")
        .map_err(&failed)?;
    let bytes_before: i64 =
        newest.query_row([ROW_BYTES], |row| row.get(0)).optional().map_err(&failed)?.unwrap_or_default();
    let mut insert = connection
        .prepare_cached(
            "INSERT INTO events (id, type, source, timestamp, payload, bytes_before) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .map_err(&failed)?;
    let id_text = id.to_string();
    insert
        .execute(params![id_text, event_type.as_str(), source, timestamp.as_microsecond(), text, bytes_before])
        .map_err(&failed)?;
    let timestamp = Timestamp::from_microsecond(timestamp.as_microsecond()).unwrap_or(timestamp);
    Ok(Event {
        id,
        event_id: id,
        seq: connection.last_insert_rowid(),
        event_type: event_type.clone(),
        source: source.to_owned(),
        timestamp,
        payload,
    })
}

pub(crate) fn since(connection: &Connection, seq: i64, limit: usize) -> Result<Vec<Event>, StoreError> {
    let failed = failed("reading events");
    let mut statement = connection
        .prepare_cached(
            "SELECT id, seq, type, source, timestamp, payload FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )
        .map_err(&failed)?;
    let events = statement.query_map(params![seq, limit], event).map_err(&failed)?;
    events.collect::<Result<_, _>>().map_err(&failed)
}

pub(crate) fn last_seq(connection: &Connection) -> Result<i64, StoreError> {
    let query = connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0));
    query.map_err(failed("reading the newest event"))
}

/// Drops what is too much.
pub(crate) fn prune(connection: &Connection) -> Result<(), StoreError> {
    let failed = failed("dropping old events");
    let (first, last): (Option<i64>, Option<i64>) = connection
        .query_row("SELECT min(seq), max(seq) FROM events", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(&failed)?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
    let cutoff = (last - KEPT).max(over_bytes(connection, first, last).map_err(&failed)?);
    if cutoff >= first {
        connection.execute("DELETE FROM events WHERE seq <= ?1", [cutoff]).map_err(&failed)?;
    }
    Ok(())
}

/// The newest `seq` that no longer fits into the cap of bytes, or one before the first.
fn over_bytes(connection: &Connection, first: i64, last: i64) -> rusqlite::Result<i64> {
    let mut at = connection.prepare_cached("SELECT bytes_before FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    let mut bytes_before = |seq: i64| at.query_row([seq], |row| row.get::<_, i64>(0));
    let floor = bytes_before(last)? - KEPT_BYTES;
    let (mut low, mut high) = (first, last);
    while low < high {
        let middle = low + (high - low) / 2;
        if bytes_before(middle)? < floor {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low - 1)
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let id: String = row.get(0)?;
    let event_type: String = row.get(2)?;
    let payload: String = row.get(5)?;
    let id = id.parse().map_err(|error| unreadable(0, error))?;
    Ok(Event {
        id,
        event_id: id,
        seq: row.get(1)?,
        event_type: EventType::new(&event_type).map_err(|error| unreadable(2, error))?,
        source: row.get(3)?,
        timestamp: Timestamp::from_microsecond(row.get(4)?).map_err(|error| unreadable(4, error))?,
        payload: serde_json::from_str(&payload).map_err(|error| unreadable(5, error))?,
    })
}
