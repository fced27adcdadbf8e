//! D11, W11: the power goes at any flush while the database is made, written and checkpointed. Nothing that was answered
//! is lost, and the database is whole.

use std::{
    path::Path,
    sync::{Mutex, mpsc},
    thread,
};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use selena_core::ports::{Job, Store};
use selena_powercut::{Cut, Disk, Sample};
use selena_store::Sqlite;
use selena_types::EventType;
use serde_json::json;
use uuid::Uuid;

/// How many write at once, so that some commits hold the jobs of several.
const WRITERS: u64 = 3;
/// What each of them writes: more than the WAL holds before it is checkpointed.
const JOBS: u64 = 80;

/// An answer: this writer's job of that number is durable, since so many flushes.
#[derive(Clone, Copy, Debug)]
struct Answer {
    writer: u64,
    job: u64,
    flushes: usize,
}

/// Writes a number and an event of some size together, and waits until that is durable.
fn write(store: &Sqlite, writer: u64, job: u64) {
    let (answer, answered) = mpsc::channel();
    let event_type = EventType::new("test.written").expect("a type");
    store.write(Job {
        run: Box::new(move |tx| {
            tx.put_setting(&format!("writer {writer}"), &job.to_string())?;
            let payload = json!({ "writer": writer, "job": job, "text": "x".repeat(20_000) });
            tx.append_event(Uuid::new_v4(), &event_type, "core", Timestamp::now(), payload).map(|_| ())
        }),
        done: Box::new(move |outcome| answer.send(outcome).expect("somebody waits")),
    });
    answered.recv().expect("every job is answered").expect("it is written");
}

/// Makes a database, writes to it from several threads, and closes it.
fn work(disk: &Disk, dir: &Path) -> Vec<Answer> {
    let store = Sqlite::open(dir).expect("the store opens");
    let answers = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, answers) = (&store, &answers);
            scope.spawn(move || {
                for job in 1..=JOBS {
                    write(store, writer, job);
                    let flushes = disk.flushes();
                    answers.lock().expect("alone").push(Answer { writer, job, flushes });
                }
            });
        }
    });
    answers.into_inner().expect("alone")
}

/// What is in a database after a cut: the last job of each writer, which is also in its events.
fn last_jobs(dir: &Path, when: &str) -> Vec<u64> {
    drop(Sqlite::open(dir).unwrap_or_else(|error| panic!("{when}: it does not open: {error:?}")));
    let rows = Connection::open_with_flags(dir.join("selena.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opened");
    let check: String = rows.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    assert_eq!(check, "ok", "{when}");
    let number = |sql: &str, writer: u64| {
        let value = rows.query_row(sql, [writer.to_string()], |row| row.get::<_, Option<String>>(0));
        value.ok().flatten().map_or(0, |text| text.parse().expect("a number"))
    };
    let last = |writer| {
        let setting = number("SELECT value FROM settings WHERE key = 'writer ' || ?1", writer);
        let newest =
            "SELECT CAST(MAX(payload ->> 'job') AS TEXT) FROM events WHERE payload ->> 'writer' = CAST(?1 AS INTEGER)";
        assert_eq!(setting, number(newest, writer), "{when}: a commit is there in part");
        setting
    };
    (0..WRITERS).map(last).collect()
}

#[test]
fn d11_w11_no_answered_commit_is_lost_and_the_database_is_whole_wherever_the_power_goes() {
    let disk = Disk::new(48).expect("this test needs root, /dev/fuse, loop devices and mkfs.ext4");
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("disk");
    let mounted = disk.mount(&at).expect("mounted");
    mounted.sync().expect("synced");
    disk.begin();
    let answers = work(&disk, &at);
    drop(mounted);

    let sample = Sample::of(120);
    let cuts = sample.cuts(disk.flushes());
    for cut in &cuts {
        let Cut { flushes, fate } = *cut;
        let when = format!("seed {}, after flush {flushes}, {fate:?}", sample.seed());
        let after = disk.after_cut(*cut, &at).unwrap_or_else(|error| panic!("{when}: {error}"));
        let last = last_jobs(after.path(), &when);
        for answer in answers.iter().filter(|answer| answer.flushes <= flushes) {
            let index = usize::try_from(answer.writer).expect("few");
            assert!(last[index] >= answer.job, "{when}: {answer:?} is lost, the last one is {}", last[index]);
        }
    }
    sample.report("D11 database", cuts.len(), disk.flushes());
}
