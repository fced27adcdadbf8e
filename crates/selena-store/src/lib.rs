//! The store: SQLite behind the core's [`Store`] port.
//!
//! Entry points: [`Sqlite::open`] for a hub, [`Sqlite::in_memory`] for a trial.
//! One thread writes, with group commit; two read. What was answered is durable (`synchronous=FULL`, WAL).
//! Each table has a file of its own. This crate decides nothing: it knows rows, not rules.

mod audit;
mod copies;
mod database;
mod devices;
mod error;
mod events;
mod migrations;
mod module_config;
mod modules;
mod oauth_sessions;
mod publishers;
mod rows;
mod settings;
mod table_bytes;
mod threads;
mod tokens;
mod vault_counters;
mod writer;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
};

use rusqlite::Connection;
use selena_core::ports::{CommitObserver, Job, ReadJob, Store, StoreError};

pub use copies::SqliteCopies;
use threads::Threads;
use writer::Order;

/// Oldest SQLite the hub runs on: older ones can damage a WAL database (series D, D14).
pub const OLDEST_SQLITE: i32 = 3_051_003;

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("another hub runs on `{0}`: stop it first")]
    InUse(PathBuf),
    /// The lock file could not be made.
    #[error("cannot lock the data directory `{path}`")]
    Lock {
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The SQLite that was built in is too old.
    #[error("SQLite {0} is too old: at least 3.51.3 is needed")]
    TooOld(&'static str),
    /// A newer hub wrote the database.
    #[error("the database is of a newer hub (schema {found}, this one knows {known})")]
    Newer {
        /// The schema's number in the file.
        found: usize,
        /// The newest this hub knows.
        known: usize,
    },
    /// The database failed.
    #[error("cannot open the database `{path}`")]
    Database {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The threads could not be started.
    #[error("cannot start the store's threads")]
    Threads(#[source] std::io::Error),
}

/// A store in SQLite.
#[derive(Debug)]
pub struct Sqlite {
    writer: mpsc::Sender<Order>,
    readers: Option<Mutex<mpsc::Sender<ReadJob>>>,
    /// Joined when the store is dropped, so that the last commits are done then.
    _threads: Threads,
    /// Held as long as the store is open.
    _lock: Option<File>,
}

impl Sqlite {
    /// Opens or makes `<data>/selena.db`, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(data_dir: &Path) -> Result<Self, OpenError> {
        Self::open_locked(data_dir, DataLock::take(data_dir)?)
    }

    /// As [`Sqlite::open`], with the lock that was taken before.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_locked(data_dir: &Path, DataLock(lock): DataLock) -> Result<Self, OpenError> {
        let path = data_dir.join("selena.db");
        let failed = |source| OpenError::Database { path: path.clone(), source };
        let connection = database::open(&path).map_err(failed)?;
        migrations::run(&connection).map_err(|error| error.into_open_error(&path))?;
        let readers = [database::open_reader(&path).map_err(failed)?, database::open_reader(&path).map_err(failed)?];
        Self::start(connection, readers.into(), Some(lock))
    }

    /// A store in memory of at most 16 MiB, empty and gone when it is dropped.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn in_memory() -> Result<Self, OpenError> {
        let path = PathBuf::from(":memory:");
        let connection =
            Connection::open_in_memory().map_err(|source| OpenError::Database { path: path.clone(), source })?;
        database::limit_memory(&connection).map_err(|source| OpenError::Database { path: path.clone(), source })?;
        migrations::run(&connection).map_err(|error| error.into_open_error(&path))?;
        Self::start(connection, Vec::new(), None)
    }

    fn start(connection: Connection, readers: Vec<Connection>, lock: Option<File>) -> Result<Self, OpenError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(OpenError::TooOld(rusqlite::version()));
        }
        let mut threads = Threads::default();
        let (orders, inbox) = mpsc::channel();
        threads.start("store-writer", move || writer::run(connection, &inbox)).map_err(OpenError::Threads)?;
        let (reads, read_inbox) = mpsc::channel::<ReadJob>();
        let has_readers = !readers.is_empty();
        let read_inbox = Arc::new(Mutex::new(read_inbox));
        for connection in readers {
            let inbox = read_inbox.clone();
            threads.start("store-reader", move || rows::read_loop(&connection, &inbox)).map_err(OpenError::Threads)?;
        }
        let readers = has_readers.then(|| Mutex::new(reads));
        Ok(Self { writer: orders, readers, _threads: threads, _lock: lock })
    }
}

impl Store for Sqlite {
    fn write(&self, job: Job) {
        if let Err(mpsc::SendError(Order::Write(job))) = self.writer.send(Order::Write(job)) {
            (job.done)(Err(StoreError::Stopped));
        }
    }

    fn read(&self, job: ReadJob) {
        let refused = match &self.readers {
            Some(readers) => {
                readers.lock().expect("nothing panics while it sends").send(job).err().map(|mpsc::SendError(job)| job)
            }
            None => match self.writer.send(Order::Read(job)) {
                Err(mpsc::SendError(Order::Read(job))) => Some(job),
                _ => None,
            },
        };
        if let Some(job) = refused {
            job(Err(StoreError::Stopped));
        }
    }

    fn observe(&self, observer: Arc<dyn CommitObserver>) {
        // If the writer is gone, there is nothing to observe.
        let _writer_gone = self.writer.send(Order::Observe(observer));
    }
}

/// One hub on one data directory (series D, D07).
#[derive(Debug)]
pub struct DataLock(File);

impl DataLock {
    /// Makes the directory if it is not there, and locks it.
    ///
    /// # Errors
    /// [`OpenError::InUse`], [`OpenError::Lock`].
    pub fn take(data_dir: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Lock { path: data_dir.to_owned(), source };
        std::fs::create_dir_all(data_dir).map_err(failed)?;
        let file = File::create(data_dir.join("selena.lock")).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(data_dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
