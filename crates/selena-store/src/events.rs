//! Table `events`: the hub's one order of events.
//!
//! `bytes_before` is the sum of all payloads before a row, so that the oldest row within a cap of bytes is found by
//! halving, without reading the payloads.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use selena_core::ports::{EventPage, EventQuery, StoreError};
use selena_types::{Event, EventType};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{failed, unreadable};

/// How many events are kept.
const KEPT: i64 = 100_000;
/// How many bytes of payload are kept.
const KEPT_BYTES: i64 = 64 * 1024 * 1024;
/// Most events that are dropped at once, so that no write waits long.
const SLICE: i64 = 2_000;
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
        .prepare_cached("SELECT bytes_before + octet_length(payload) + ?1 FROM events ORDER BY seq DESC LIMIT 1")
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

pub(crate) fn page(connection: &Connection, query: &EventQuery) -> Result<EventPage, StoreError> {
    read_page(connection, query).map_err(failed("reading events"))
}

fn read_page(connection: &Connection, query: &EventQuery) -> rusqlite::Result<EventPage> {
    let mut statement = connection.prepare_cached(
        "SELECT id, seq, type, source, timestamp, payload FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![query.since_seq, query.max_scan])?;
    let mut page = EventPage { events: Vec::new(), next_since_seq: query.since_seq };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let event_type = read_type(row)?;
        if (query.wanted)(&event_type) {
            let payload = row.get_ref(5)?.as_str().map_err(|error| unreadable(5, error))?;
            bytes += payload.len();
            if !page.events.is_empty() && bytes > query.max_bytes {
                break;
            }
            page.events.push(event(row, event_type, payload)?);
        }
        page.next_since_seq = row.get(1)?;
        if page.events.len() >= query.limit {
            break;
        }
    }
    Ok(page)
}

pub(crate) fn last_seq(connection: &Connection) -> Result<i64, StoreError> {
    let query = connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0));
    query.map_err(failed("reading the newest event"))
}

/// Drops what is too much, a slice at a time; tells whether there is more to drop.
pub(crate) fn prune(connection: &Connection) -> Result<bool, StoreError> {
    let failed = failed("dropping old events");
    let extent = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    // Two queries in one: each takes an end of the index, while both in one SELECT read the whole table.
    let ends = "SELECT (SELECT min(seq) FROM events), (SELECT max(seq) FROM events)";
    let (first, last): (Option<i64>, Option<i64>) = connection.query_row(ends, [], extent).map_err(&failed)?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(false) };
    let cutoff = (last - KEPT).max(over_bytes(connection, first, last).map_err(&failed)?);
    let slice_end = cutoff.min(first + SLICE);
    if slice_end >= first {
        connection.execute("DELETE FROM events WHERE seq <= ?1", [slice_end]).map_err(&failed)?;
    }
    Ok(slice_end < cutoff)
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

fn read_type(row: &Row<'_>) -> rusqlite::Result<EventType> {
    let text = row.get_ref(2)?.as_str().map_err(|error| unreadable(2, error))?;
    EventType::new(text).map_err(|error| unreadable(2, error))
}

fn event(row: &Row<'_>, event_type: EventType, payload: &str) -> rusqlite::Result<Event> {
    let id: String = row.get(0)?;
    let id = id.parse().map_err(|error| unreadable(0, error))?;
    Ok(Event {
        id,
        event_id: id,
        seq: row.get(1)?,
        event_type,
        source: row.get(3)?,
        timestamp: Timestamp::from_microsecond(row.get(4)?).map_err(|error| unreadable(4, error))?,
        payload: serde_json::from_str(payload).map_err(|error| unreadable(5, error))?,
    })
}
