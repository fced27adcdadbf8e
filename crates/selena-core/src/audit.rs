//! Everything refused, and everything changed, leaves a record (protocol, section 10.7).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use selena_types::AuditRecord;

use crate::ports::{Job, Store};

/// Most different records of one minute; more are counted in one record of their own.
const MAX_KEYS: usize = 1000;
/// Most different details of one event and subject in a minute, since a module may choose what stands in them: it must
/// not push what others did out of the log.
const MAX_DETAILS: usize = 50;

/// The writer of the audit log. An equal record within the same minute is counted in memory and written at
/// [`Audit::flush`], so that a flood of refusals is no flood of writes.
#[derive(Debug)]
pub(crate) struct Audit {
    store: Arc<dyn Store>,
    minute: Mutex<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    number: i64,
    counted: HashMap<Key, i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    event: String,
    subject: String,
    detail: String,
}

impl Audit {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, minute: Mutex::default() }
    }

    /// Records that something happened. Neither text may hold a secret.
    pub(crate) fn record(&self, event: &str, subject: &str, detail: &str) {
        let now = Timestamp::now();
        let mut key = Key { event: event.to_owned(), subject: subject.to_owned(), detail: detail.to_owned() };
        let earlier = {
            let mut minute = self.minute.lock().expect("nothing panics while it holds the minute");
            let earlier = minute.turn(now);
            if minute.details_of(&key) >= MAX_DETAILS && !minute.counted.contains_key(&key) {
                key.detail = "more, which are not listed one by one".to_owned();
            }
            if minute.counted.len() >= MAX_KEYS && !minute.counted.contains_key(&key) {
                key = Key {
                    event: "audit_overflow".to_owned(),
                    subject: "core".to_owned(),
                    detail: "more different records".to_owned(),
                };
            }
            let first = !minute.counted.contains_key(&key);
            *minute.counted.entry(key.clone()).or_insert(0) += i64::from(!first);
            if first {
                self.append(&key, now, 1);
            }
            earlier
        };
        self.append_all(earlier, now);
    }

    /// Writes the counts that are only in memory.
    pub(crate) fn flush(&self) {
        let now = Timestamp::now();
        let counts = {
            let mut minute = self.minute.lock().expect("nothing panics while it holds the minute");
            minute
                .counted
                .iter_mut()
                .filter(|(_, count)| **count > 0)
                .map(|(k, c)| (k.clone(), std::mem::take(c)))
                .collect()
        };
        self.append_all(counts, now);
    }

    fn append_all(&self, counts: Vec<(Key, i64)>, now: Timestamp) {
        for (key, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            self.append(&key, now, count);
        }
    }

    fn append(&self, key: &Key, timestamp: Timestamp, count: i64) {
        tracing::info!(event = key.event, subject = key.subject, detail = key.detail, count, "audit");
        let record = AuditRecord {
            timestamp,
            event: key.event.clone(),
            subject: key.subject.clone(),
            detail: key.detail.clone(),
            count,
        };
        self.store.write(Job {
            run: Box::new(move |tx| tx.append_audit(&record)),
            done: Box::new(|outcome| {
                if let Err(error) = outcome {
                    tracing::error!(error = &error as &dyn std::error::Error, "an audit record was not stored");
                }
            }),
        });
    }
}

impl Minute {
    /// How many different details the key's event and subject have in this minute.
    fn details_of(&self, key: &Key) -> usize {
        self.counted.keys().filter(|other| other.event == key.event && other.subject == key.subject).count()
    }

    /// Begins a new minute if it is one; gives the counts of the old one that were not written.
    fn turn(&mut self, now: Timestamp) -> Vec<(Key, i64)> {
        let number = now.as_second().div_euclid(60);
        if number == self.number {
            return Vec::new();
        }
        self.number = number;
        self.counted.drain().collect()
    }
}
