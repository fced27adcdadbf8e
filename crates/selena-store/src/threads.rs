//! The store's threads, joined when it is dropped.

use std::{io, thread};

/// Threads that end when their inbox closes.
#[derive(Debug, Default)]
pub(crate) struct Threads(Vec<thread::JoinHandle<()>>);

impl Threads {
    /// Starts one.
    pub(crate) fn start(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let work = move || {
            let _guard = AbortOnPanic;
            work();
        };
        self.0.push(thread::Builder::new().name(name.to_owned()).stack_size(512 * 1024).spawn(work)?);
        Ok(())
    }
}

/// A hub whose store has died would answer and keep nothing: it ends, and is started again.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("a thread of the store panicked: the hub ends");
            std::process::abort();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}
