//! The writer: takes all jobs that wait, runs each within one transaction, and answers when that is durable.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use rusqlite::Connection;
use selena_core::ports::{Commit, CommitObserver, Done, Job, ReadJob, StoreError, Work};
use selena_killpoints::point;

use crate::{
    error::failed,
    events,
    rows::{SqliteRows, SqliteTx},
};

/// Most jobs of one commit.
const MAX_BATCH: usize = 256;
/// After how many jobs old rows are looked for.
const JOBS_BETWEEN_PRUNES: usize = 64;
/// After what time they are looked for on a quiet hub.
const QUIET: Duration = Duration::from_secs(60);

/// What the writer is asked for.
pub(crate) enum Order {
    /// Write.
    Write(Job),
    /// Read, in a store that has no readers.
    Read(ReadJob),
    /// Tell this observer of commits.
    Observe(Arc<dyn CommitObserver>),
}

/// Who is to be told, and what.
type Answer = (Done, Result<(), StoreError>);

/// Works until the store is dropped.
pub(crate) fn run(connection: Connection, inbox: &mpsc::Receiver<Order>) {
    let mut writer = Writer { connection, observer: None, undone: true, jobs: 0 };
    let mut taken = None;
    loop {
        let order = match taken.take() {
            Some(order) => order,
            None => match inbox.recv_timeout(QUIET) {
                Ok(order) => order,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    writer.prune();
                    continue;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            },
        };
        match order {
            Order::Observe(observer) => writer.observer = Some(observer),
            Order::Read(job) => job(Ok(&SqliteRows(&writer.connection))),
            Order::Write(job) => {
                let mut batch = vec![job];
                while batch.len() < MAX_BATCH {
                    match inbox.try_recv() {
                        Ok(Order::Write(job)) => batch.push(job),
                        Ok(other) => {
                            taken = Some(other);
                            break;
                        }
                        Err(_empty_or_closed) => break,
                    }
                }
                writer.write(batch);
            }
        }
    }
}

struct Writer {
    connection: Connection,
    observer: Option<Arc<dyn CommitObserver>>,
    /// Whether the last job that failed was undone alone.
    undone: bool,
    /// Jobs since old rows were last looked for.
    jobs: usize,
}

impl Writer {
    fn write(&mut self, batch: Vec<Job>) {
        self.jobs += batch.len();
        let (dones, outcome) = self.transaction(batch);
        match outcome {
            Ok(changes) => {
                if let Some(observer) = self.observer.as_ref().filter(|_| !changes.is_empty()) {
                    observer.committed(&changes);
                }
                for (done, result) in dones {
                    done(result);
                }
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a commit failed: nothing of it is stored");
                for (done, result) in dones {
                    done(result.and_then(|()| Err(again(&error))));
                }
            }
        }
        if self.jobs >= JOBS_BETWEEN_PRUNES {
            self.prune();
        }
    }

    /// Runs the jobs, each in a savepoint of its own, and commits. Gives who is to be answered what, if it committed.
    fn transaction(&mut self, batch: Vec<Job>) -> (Vec<Answer>, Result<Vec<Commit>, StoreError>) {
        let mut dones: Vec<Answer> = Vec::with_capacity(batch.len());
        let mut changes = Vec::new();
        let mut broken = self.execute("BEGIN IMMEDIATE").err();
        for job in batch {
            let result = match &broken {
                Some(error) => Err(again(error)),
                None => self.job(job.run, &mut changes),
            };
            // Either SQLite gave the whole transaction up, or a job could not be undone alone: then nothing is committed.
            if broken.is_none()
                && let Err(error) = &result
                && (self.connection.is_autocommit() || !self.undone)
            {
                broken = Some(again(error));
            }
            dones.push((job.done, result));
        }
        let outcome = match broken {
            Some(error) => Err(error),
            None => self.commit().map(|()| changes),
        };
        if outcome.is_err() && !self.connection.is_autocommit() {
            let _nothing_open_any_more = self.execute("ROLLBACK");
        }
        (dones, outcome)
    }

    fn commit(&self) -> Result<(), StoreError> {
        // What is in memory only ends with the process anyway.
        let lasts = self.connection.path().is_some_and(|path| !path.is_empty());
        if lasts {
            point("a commit");
        }
        self.execute("COMMIT")?;
        if lasts {
            point("what follows a commit");
        }
        Ok(())
    }

    fn job(&mut self, run: Work, changes: &mut Vec<Commit>) -> Result<(), StoreError> {
        self.execute("SAVEPOINT job")?;
        let before = changes.len();
        let result = run(&mut SqliteTx { connection: &self.connection, changes });
        let result = result.and_then(|()| self.execute("RELEASE job"));
        if result.is_err() {
            changes.truncate(before);
            self.undone = self.execute("ROLLBACK TO job").and_then(|()| self.execute("RELEASE job")).is_ok();
        }
        result
    }

    fn execute(&self, sql: &'static str) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed(sql))?;
        statement.execute([]).map_err(failed(sql)).map(|_| ())
    }

    /// Drops a slice of old rows; if there is more, the next jobs drop more.
    fn prune(&mut self) {
        let pruned =
            events::prune(&self.connection).and_then(|more| crate::audit::prune(&self.connection).map(|()| more));
        self.jobs = match pruned {
            Ok(true) => JOBS_BETWEEN_PRUNES,
            Ok(false) => 0,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old rows were not removed; tried again later"
                );
                0
            }
        };
    }
}

/// The same error for another job of the same commit.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::DiskFull => StoreError::DiskFull,
        other => StoreError::Failed { attempted: "committing", source: other.to_string().into() },
    }
}
