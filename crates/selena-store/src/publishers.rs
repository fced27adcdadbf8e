//! Table `publishers`: one row for each key.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use selena_core::{PublisherKey, Revocation, ports::StoreError};
use selena_signature::{KeyId, PublicKey};

use crate::error::{failed, unreadable};

pub(crate) fn all(connection: &Connection) -> Result<Vec<PublisherKey>, StoreError> {
    let failed = failed("reading publishers");
    let sql = "SELECT public_key, name, trust, added_at, replaces, revoked_at, reason FROM publishers ORDER BY key_id";
    let mut statement = connection.prepare(sql).map_err(&failed)?;
    let keys = statement.query_map([], key).map_err(&failed)?;
    keys.collect::<Result<_, _>>().map_err(&failed)
}

pub(crate) fn put(connection: &Connection, key: &PublisherKey) -> Result<(), StoreError> {
    let sql = "INSERT INTO publishers (key_id, name, public_key, trust, added_at, replaces, revoked_at, reason)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (key_id) DO UPDATE SET trust = excluded.trust, revoked_at = excluded.revoked_at,
            reason = excluded.reason";
    let id = key.key.id();
    let row = params![
        id.as_str(),
        key.publisher.as_str(),
        key.key.as_bytes(),
        key.trust.as_str(),
        key.added_at.as_microsecond(),
        key.replaces.as_ref().map(KeyId::as_str),
        key.revoked.as_ref().map(|revocation| revocation.at.as_microsecond()),
        key.revoked.as_ref().map(|revocation| &revocation.reason),
    ];
    connection.execute(sql, row).map_err(failed("writing a publisher's key"))?;
    Ok(())
}

fn key(row: &Row<'_>) -> rusqlite::Result<PublisherKey> {
    let text = |column: usize| row.get::<_, String>(column);
    let replaces: Option<String> = row.get(4)?;
    let revoked_at: Option<i64> = row.get(5)?;
    let revoked = match revoked_at {
        Some(at) => {
            Some(Revocation { at: micros(5, at)?, reason: row.get::<_, Option<String>>(6)?.unwrap_or_default() })
        }
        None => None,
    };
    Ok(PublisherKey {
        key: PublicKey::from_bytes(&row.get(0)?).map_err(|error| unreadable(0, error))?,
        publisher: text(1)?.parse().map_err(|error| unreadable(1, error))?,
        trust: text(2)?.parse().map_err(|error| unreadable(2, error))?,
        added_at: micros(3, row.get(3)?)?,
        replaces: replaces.map(|id| id.parse()).transpose().map_err(|error| unreadable(4, error))?,
        revoked,
    })
}

fn micros(column: usize, at: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(at).map_err(|error| unreadable(column, error))
}
