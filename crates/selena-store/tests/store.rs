//! The store through its port: real SQLite in real directories.

use std::{
    path::Path,
    sync::{Arc, Mutex, mpsc},
};

use jiff::Timestamp;
use selena_core::ports::{
    Commit, CommitObserver, DeviceChange, EventPage, EventQuery, Job, Rows, Store, StoreError, Tx,
};
use selena_store::{OpenError, Sqlite};
use selena_types::{AuditRecord, Device, DeviceId, DeviceKind, EventType, TokenHash};
use serde_json::{Map, Value, json};
use uuid::Uuid;

fn open(dir: &Path) -> Sqlite {
    Sqlite::open(dir).expect("the store opens")
}

/// Writes and waits for the answer.
fn write<T: Send + 'static>(
    store: &Sqlite,
    work: impl FnOnce(&mut dyn Tx) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (answer, answered) = mpsc::channel();
    let value = Arc::new(Mutex::new(None));
    let kept = value.clone();
    store.write(Job {
        run: Box::new(move |tx| {
            *kept.lock().expect("alone") = Some(work(tx)?);
            Ok(())
        }),
        done: Box::new(move |outcome| answer.send(outcome).expect("somebody waits")),
    });
    answered.recv().expect("every job is answered")?;
    Ok(value.lock().expect("alone").take().expect("it ran"))
}

fn read<T: Send + 'static>(
    store: &Sqlite,
    work: impl FnOnce(&dyn Rows) -> Result<T, StoreError> + Send + 'static,
) -> T {
    let (answer, answered) = mpsc::channel();
    store.read(Box::new(move |rows| answer.send(rows.and_then(work)).expect("somebody waits")));
    answered.recv().expect("every read is answered").expect("it reads")
}

fn device(name: &str) -> Device {
    Device {
        device_id: DeviceId::random(),
        name: name.to_owned(),
        kind: DeviceKind::Sensor,
        protocol: "test".to_owned(),
        state: Map::new(),
        capabilities: vec![json!("x")],
        last_seen: None,
        module_id: Some("some-module".parse().expect("a name")),
        meta: Map::new(),
    }
}

fn state(value: impl Into<Value>) -> Map<String, Value> {
    Map::from_iter([("value".to_owned(), value.into())])
}

fn event_type() -> EventType {
    EventType::new("a.b").expect("a type")
}

fn query(since_seq: i64, limit: usize) -> EventQuery {
    EventQuery { since_seq, limit, max_bytes: 1024, max_scan: 100, wanted: Box::new(|_| true) }
}

#[test]
fn a_page_of_events_is_bounded_in_number_bytes_and_rows_looked_at() {
    let store = Sqlite::in_memory().expect("a store");
    write(&store, |tx| {
        for n in 0..150 {
            let payload = json!({ "text": "x".repeat(if n < 100 { 10 } else { 400 }) });
            let name = if n % 50 == 49 { "rare.one" } else { "a.b" };
            let event_type = EventType::new(name).expect("a type");
            tx.append_event(Uuid::new_v4(), &event_type, "core", Timestamp::now(), payload)?;
        }
        Ok(())
    })
    .expect("written");
    let page = |query: EventQuery| read(&store, move |rows| rows.events_page(&query));
    let seqs = |page: &EventPage| page.events.iter().map(|event| event.seq).collect::<Vec<_>>();
    assert_eq!(seqs(&page(query(0, 3))), [1, 2, 3]);
    assert_eq!(seqs(&page(query(100, 50))), [101, 102], "a kilobyte of payload");
    let large = EventQuery { max_bytes: 1, ..query(100, 50) };
    assert_eq!(seqs(&page(large)), [101], "one may be larger alone");
    let rare = |since| EventQuery { wanted: Box::new(|name| name.as_str() == "rare.one"), ..query(since, 50) };
    let first = page(rare(0));
    assert_eq!((seqs(&first), first.next_since_seq), (vec![50, 100], 100), "it looked at a hundred rows");
    let rest = page(rare(first.next_since_seq));
    assert_eq!((seqs(&rest), rest.next_since_seq), (vec![150], 150));
    assert_eq!(page(query(150, 10)).next_since_seq, 150, "nothing more");
}

#[test]
fn a_store_in_memory_is_full_at_16_mib() {
    let store = Sqlite::in_memory().expect("a store");
    let mut stored = 0;
    let failure = loop {
        match write(&store, move |tx| tx.put_setting(&format!("k{stored}"), &"x".repeat(1024 * 1024))) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(failure, StoreError::DiskFull), "{failure:?}");
    assert!((10..16).contains(&stored), "{stored}");
}

#[test]
fn what_was_answered_is_there_after_a_reopen() {
    let dir = tempfile::tempdir().expect("a directory");
    let made = device("one");
    let copy = made.clone();
    {
        let store = open(dir.path());
        write(&store, move |tx| {
            let put = tx.put_device(copy)?;
            tx.set_state((*put).clone(), state(1), 10.5)?;
            tx.append_event(Uuid::new_v4(), &event_type(), "core", Timestamp::now(), json!({"n": 1}))?;
            tx.put_setting("k", "v")
        })
        .expect("written");
    }
    let store = open(dir.path());
    let (devices, history, events, setting) = read(&store, move |rows| {
        Ok((
            rows.devices()?,
            rows.history(made.device_id, None, 10)?,
            rows.events_page(&query(0, 10))?.events,
            rows.setting("k")?,
        ))
    });
    assert_eq!(devices, [Device { state: state(1), last_seen: Some(10.5), ..made }]);
    assert_eq!(history.len(), 1);
    assert_eq!((events.len(), &events[0].payload, events[0].seq), (1, &json!({"n": 1}), 1));
    assert_eq!(setting.as_deref(), Some("v"));
}

#[test]
fn a_job_that_fails_rolls_back_itself_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    write(&store, |tx| tx.put_setting("first", "1")).expect("written");
    let failed = write(&store, |tx| -> Result<(), StoreError> {
        tx.put_setting("second", "2")?;
        tx.put_device(device("lost"))?;
        Err(StoreError::RolledBack)
    });
    assert!(matches!(failed, Err(StoreError::RolledBack)));
    let seen = read(&store, |rows| Ok((rows.setting("first")?, rows.setting("second")?, rows.devices()?.len())));
    assert_eq!(seen, (Some("1".to_owned()), None, 0));
}

/// Remembers what it was told.
#[derive(Default)]
struct Told(Mutex<Vec<Commit>>);

impl CommitObserver for Told {
    fn committed(&self, changes: &[Commit]) {
        self.0.lock().expect("alone").extend_from_slice(changes);
    }
}

#[test]
fn commits_are_told_in_order_and_before_the_answer() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Arc::new(open(dir.path()));
    let told = Arc::new(Told::default());
    store.observe(told.clone());
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let (store, told) = (store.clone(), told.clone());
            std::thread::spawn(move || {
                for _ in 0..25 {
                    let event = write(&store, |tx| {
                        tx.append_event(Uuid::new_v4(), &event_type(), "core", Timestamp::now(), json!({}))
                    })
                    .expect("written");
                    let told = told.0.lock().expect("alone");
                    assert!(told.contains(&Commit::Event(event)), "it was told before it was answered");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("it wrote");
    }
    let told = told.0.lock().expect("alone");
    let seqs: Vec<_> = told.iter().map(|c| if let Commit::Event(event) = c { event.seq } else { 0 }).collect();
    assert_eq!(seqs, (1..=200).collect::<Vec<i64>>());
}

#[test]
fn a_rolled_back_job_is_not_told() {
    let store = Sqlite::in_memory().expect("a store");
    let told = Arc::new(Told::default());
    store.observe(told.clone());
    let kept = device("kept");
    let copy = kept.clone();
    write(&store, move |tx| tx.put_device(copy)).expect("written");
    let _rolled_back = write(&store, |tx| -> Result<(), StoreError> {
        tx.put_device(device("lost"))?;
        Err(StoreError::RolledBack)
    });
    assert_eq!(*told.0.lock().expect("alone"), [Commit::Device(DeviceChange::Put(Arc::new(kept)))]);
}

#[test]
fn a_devices_history_has_at_most_1000_states() {
    let store = Sqlite::in_memory().expect("a store");
    let id = write(&store, |tx| {
        let mut device = tx.put_device(device("one"))?;
        for n in 0..1010 {
            device = tx.set_state((*device).clone(), state(n), f64::from(n))?;
        }
        Ok(device.device_id)
    })
    .expect("written");
    let history = read(&store, move |rows| rows.history(id, None, 5000));
    assert_eq!(history.len(), 1000);
    assert_eq!((history[0].timestamp, history[999].timestamp), (1009.0, 10.0), "newest first, the oldest are gone");
    let since = read(&store, move |rows| rows.history(id, Some(1005.0), 5000));
    assert_eq!(since.len(), 4);
}

#[test]
fn a_devices_history_has_at_most_4_mib() {
    let store = Sqlite::in_memory().expect("a store");
    let big = "ü".repeat(30_000);
    let id = write(&store, move |tx| {
        let mut device = tx.put_device(device("one"))?;
        for n in 0..100 {
            device = tx.set_state((*device).clone(), state(big.as_str()), f64::from(n))?;
        }
        Ok(device.device_id)
    })
    .expect("written");
    let history = read(&store, move |rows| rows.history(id, None, 5000));
    let bytes: usize = history.iter().map(|at| serde_json::to_string(&at.state).expect("JSON").len()).sum();
    assert!(bytes <= 4 * 1024 * 1024, "{bytes}");
    assert!(history.len() >= 68, "no more was dropped than needed: {}", history.len());
    assert_eq!(history[0].timestamp, 99.0);
}

#[test]
fn equal_audit_records_of_a_minute_are_one_with_a_count() {
    let store = Sqlite::in_memory().expect("a store");
    let at = Timestamp::from_second(120).expect("a time");
    let record = move |second: i64, detail: &str| AuditRecord {
        timestamp: at + jiff::SignedDuration::from_secs(second),
        event: "denied".to_owned(),
        subject: "m".to_owned(),
        detail: detail.to_owned(),
        count: 1,
    };
    write(&store, move |tx| {
        for (second, detail) in [(0, "a"), (59, "a"), (30, "b"), (60, "a")] {
            tx.append_audit(&record(second, detail))?;
        }
        Ok(())
    })
    .expect("written");
    let found = read(&store, |rows| rows.audit(10));
    let counts: Vec<_> = found.iter().map(|record| (record.detail.as_str(), record.count)).collect();
    assert_eq!(counts, [("a", 1), ("b", 1), ("a", 2)]);
}

#[test]
fn the_newest_sixteen_token_hashes_of_a_module_are_kept() {
    let store = Sqlite::in_memory().expect("a store");
    let name: selena_types::ModuleName = "some-module".parse().expect("a name");
    write(&store, move |tx| {
        (0..20).try_for_each(|n| {
            tx.put_token(&TokenHash(format!("{n}")), &name, Timestamp::from_second(n).expect("a time"))
        })
    })
    .expect("written");
    let owner = |n: &'static str| read(&store, move |rows| rows.token_owner(&TokenHash(n.to_owned())));
    assert_eq!(owner("3"), None);
    assert_eq!(owner("4").as_deref(), Some("some-module"));
    assert_eq!(owner("19").as_deref(), Some("some-module"));
}

#[test]
fn d07_a_second_hub_on_the_same_data_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let _first = open(dir.path());
    assert!(matches!(Sqlite::open(dir.path()), Err(OpenError::InUse(_))));
}

fn with_schema(dir: &Path, version: i64, oldest_reader: Option<i64>) {
    drop(open(dir));
    let connection = rusqlite::Connection::open(dir.join("selena.db")).expect("SQLite opens it");
    connection.pragma_update(None, "user_version", version).expect("it is written");
    if let Some(oldest) = oldest_reader {
        let sql = "INSERT INTO settings VALUES ('schema_oldest_reader', ?1)";
        connection.execute(sql, [oldest.to_string()]).expect("it is written");
    }
}

#[test]
fn d12_the_slot_before_reads_a_database_that_a_newer_hub_only_added_to() {
    let dir = tempfile::tempdir().expect("a directory");
    with_schema(dir.path(), 999, None);
    let store = open(dir.path());
    write(&store, |tx| tx.put_setting("still", "works")).expect("written");
}

#[test]
fn d12_a_database_that_older_hubs_cannot_read_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    with_schema(dir.path(), 999, Some(998));
    let file = dir.path().join("selena.db");
    let before = std::fs::read(&file).expect("it reads");
    assert!(matches!(Sqlite::open(dir.path()), Err(OpenError::Newer { found: 999, .. })));
    assert_eq!(std::fs::read(&file).expect("it reads"), before);
}

#[test]
fn the_database_is_the_hubs_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    write(&store, |tx| tx.put_setting("k", "v")).expect("written");
    for file in ["selena.db", "selena.db-wal", "selena.db-shm"] {
        let mode = std::fs::metadata(dir.path().join(file)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

/// A small file system of its own, made by root and gone at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(bytes: u64) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let options = format!("size={bytes}");
        nix::mount::mount(
            Some("tmpfs"),
            dir.path(),
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            Some(options.as_str()),
        )
        .expect("this test needs root, to mount a small tmpfs");
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH).expect("it was mounted");
    }
}

#[test]
fn d01_a_full_disk_is_told_nothing_is_lost_and_it_recovers_without_a_restart() {
    let disk = SmallDisk::new(2 * 1024 * 1024);
    let store = open(disk.0.path());
    let mut stored = 0;
    let failure = loop {
        let text = "x".repeat(50_000);
        match write(&store, move |tx| tx.put_setting(&format!("k{stored}"), &text)) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "the disk has only 2 MiB");
    };
    assert!(matches!(failure, StoreError::DiskFull), "{failure:?}");
    for n in 0..stored {
        assert!(read(&store, move |rows| rows.setting(&format!("k{n}"))).is_some(), "k{n} was answered");
    }
    nix::mount::mount(
        None::<&str>,
        disk.0.path(),
        None::<&str>,
        nix::mount::MsFlags::MS_REMOUNT,
        Some("size=16777216"),
    )
    .expect("the disk grows");
    write(&store, |tx| tx.put_setting("after", "1")).expect("there is space again");
    assert_eq!(read(&store, |rows| rows.setting("after")).as_deref(), Some("1"));
}
