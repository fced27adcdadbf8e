//! Copies of the database: sound while it is written (D13), and nothing of a stranger's is believed.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
        mpsc,
    },
    thread,
};

use rusqlite::Connection;
use selena_core::ports::{CopyError, Job, Rows, Store, StoreCopies};
use selena_store::{Sqlite, SqliteCopies};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

fn append(store: &dyn Store) {
    let (done, ended) = mpsc::channel();
    store.write(Job {
        run: Box::new(|tx| {
            let event_type = "m.said".parse().expect("a type");
            tx.append_event(Uuid::new_v4(), &event_type, "m", jiff::Timestamp::now(), json!({})).map(|_| ())
        }),
        done: Box::new(move |outcome| done.send(outcome).expect("it waits")),
    });
    ended.recv().expect("it ends").expect("it is written");
}

fn read<T: Send + 'static>(store: &dyn Store, work: impl FnOnce(&dyn Rows) -> T + Send + 'static) -> T {
    let (answer, answered) = mpsc::channel();
    store.read(Box::new(move |rows| answer.send(work(rows.expect("readable"))).expect("it waits")));
    answered.recv().expect("it answers")
}

#[test]
fn d13_a_copy_made_during_writes_is_sound_and_has_all_that_was_answered_before() {
    let (dir, copy) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = Arc::new(Sqlite::open(dir.path()).expect("open"));
    let copies = SqliteCopies::of(dir.path());
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let writer = {
        let (store, stop, written) = (store.clone(), stop.clone(), written.clone());
        thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                append(&*store);
                written.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    while written.load(Ordering::SeqCst) < 100 {
        thread::yield_now();
    }
    for round in 0..5 {
        let into = copy.path().join(round.to_string());
        fs::create_dir(&into).expect("made");
        let before = written.load(Ordering::SeqCst);
        copies.copy_into(&into).expect("copied");
        copies.check(&into).expect("it is a hub's");
        let copied = copies.open(&into).expect("open");
        assert!(read(&*copied, |rows| rows.last_seq().expect("readable")) >= before);
        append(&*copied);
        drop(copied);
        copies.finish(&into).expect("sound");
        assert!(!into.join("selena.db-wal").exists());
    }
    stop.store(true, Ordering::SeqCst);
    writer.join().expect("it wrote");
}

/// A good copy of an empty hub.
fn good() -> (TempDir, SqliteCopies) {
    let dir = tempfile::tempdir().expect("a directory");
    let copies = SqliteCopies::of(dir.path());
    drop(copies.open(dir.path()).expect("made"));
    copies.finish(dir.path()).expect("sound");
    copies.check(dir.path()).expect("good");
    (dir, copies)
}

fn refused(dir: &Path, copies: &SqliteCopies, why: &str) {
    match copies.check(dir) {
        Err(CopyError::Refused(_)) => {}
        other => panic!("{why}: {other:?}"),
    }
}

#[test]
fn a_schema_with_anything_of_a_strangers_is_refused() {
    for sql in [
        "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM audit; END",
        "CREATE VIEW v AS SELECT * FROM modules",
        "CREATE TABLE more (x TEXT)",
        "CREATE INDEX i ON events (lower(type))",
        "DROP TABLE audit",
        "ALTER TABLE modules ADD COLUMN x TEXT DEFAULT 'y'",
        "DROP TABLE settings; CREATE VIEW settings AS SELECT 'hub_id' AS key, 'x' AS value",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 1",
    ] {
        let (dir, copies) = good();
        let connection = Connection::open(dir.path().join("selena.db")).expect("open");
        connection.execute_batch(sql).expect("done");
        drop(connection);
        refused(dir.path(), &copies, sql);
    }
    let (dir, copies) = good();
    let connection = Connection::open(dir.path().join("selena.db")).expect("open");
    connection.execute_batch("PRAGMA user_version = 999").expect("done");
    drop(connection);
    assert!(matches!(copies.check(dir.path()), Err(CopyError::Newer { found: 999, .. })));
}

#[test]
fn d05_what_is_damaged_or_no_database_is_refused() {
    let (dir, copies) = good();
    let file = dir.path().join("selena.db");
    let bytes = fs::read(&file).expect("readable");
    let mut cases =
        vec![Vec::new(), b"SQLite format 3\0".to_vec(), vec![0; 100_000], bytes[..bytes.len() / 2].to_vec()];
    let mut zeroed = bytes.clone();
    zeroed[..100].fill(0);
    cases.push(zeroed);
    // The first bytes of a page say what it is.
    let mut flipped = bytes.clone();
    flipped[4096] ^= 0xff;
    cases.push(flipped);
    for (number, case) in cases.into_iter().enumerate() {
        fs::write(&file, case).expect("written");
        refused(dir.path(), &copies, &format!("case {number}"));
    }
    fs::write(&file, bytes).expect("written");
    copies.check(dir.path()).expect("the good one is taken again");
}
