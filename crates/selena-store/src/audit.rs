//! Table `audit`: what was refused and what was changed.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use selena_core::ports::StoreError;
use selena_types::AuditRecord;

use crate::error::failed;

/// How many records are kept (protocol, section 10.7).
const KEPT: i64 = 10_000;
/// Most records that are looked at when old ones are dropped.
const SLICE: i64 = 200;
/// For how long, in microseconds: 7 days.
const KEPT_MICROS: i64 = 7 * 24 * 3600 * 1_000_000;
/// A minute in microseconds: equal records of one minute are one.
const MINUTE_MICROS: i64 = 60 * 1_000_000;

pub(crate) fn append(connection: &Connection, record: &AuditRecord) -> Result<(), StoreError> {
    let at = record.timestamp.as_microsecond();
    let minute = at.div_euclid(MINUTE_MICROS) * MINUTE_MICROS;
    let mut count = connection
        .prepare_cached(
            "UPDATE audit SET count = count + ?1 WHERE n = (SELECT n FROM audit
                WHERE event = ?2 AND subject = ?3 AND timestamp >= ?4 AND detail = ?5 ORDER BY timestamp DESC LIMIT 1)",
        )
        .map_err(failed("counting an audit record"))?;
    let counted = count
        .execute(params![record.count, record.event, record.subject, minute, record.detail])
        .map_err(failed("counting an audit record"))?;
    if counted == 0 {
        connection
            .execute(
                "INSERT INTO audit (timestamp, event, subject, detail, count) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![at, record.event, record.subject, record.detail, record.count],
            )
            .map_err(failed("appending an audit record"))?;
    }
    Ok(())
}

pub(crate) fn newest(connection: &Connection, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
    let failed = failed("reading the audit log");
    let mut statement = connection
        .prepare_cached("SELECT timestamp, event, subject, detail, count FROM audit ORDER BY n DESC LIMIT ?1")
        .map_err(&failed)?;
    let records = statement
        .query_map([limit], |row| {
            Ok(AuditRecord {
                timestamp: Timestamp::from_microsecond(row.get(0)?).unwrap_or_default(),
                event: row.get(1)?,
                subject: row.get(2)?,
                detail: row.get(3)?,
                count: row.get(4)?,
            })
        })
        .map_err(&failed)?;
    records.collect::<Result<_, _>>().map_err(&failed)
}

/// Drops what is too old or too much, a slice at a time.
pub(crate) fn prune(connection: &Connection) -> Result<(), StoreError> {
    let failed = failed("dropping old audit records");
    let oldest = Timestamp::now().as_microsecond() - KEPT_MICROS;
    // Records are appended in the order of time, so the first ones are also the oldest.
    let sql = "DELETE FROM audit WHERE n IN (SELECT n FROM audit ORDER BY n LIMIT ?1)
        AND (n <= (SELECT max(n) FROM audit) - ?2 OR timestamp < ?3)";
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    statement.execute(params![SLICE, KEPT, oldest]).map_err(&failed)?;
    Ok(())
}
