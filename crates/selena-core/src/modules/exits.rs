//! Runs that ended, handed to whoever watches them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use tokio::sync::watch;

use crate::ports::{ContainerExit, ExitCause, RunId};

/// How many ends of runs that nobody watches yet are kept.
const MAX_UNCLAIMED: usize = 64;

/// Resolves when a run has ended.
#[derive(Clone, Debug)]
pub(super) struct ExitWatch(watch::Receiver<Option<ExitCause>>);

impl ExitWatch {
    /// Waits for the end, and tells why.
    pub(super) async fn ended(&mut self) -> ExitCause {
        match self.0.wait_for(Option::is_some).await {
            Ok(cause) => cause.clone().unwrap_or(ExitCause::Gone),
            Err(_sender_dropped) => ExitCause::Gone,
        }
    }
}

/// The ends of runs. An end may be told before its run is watched: a program can end sooner than its start is answered.
#[derive(Debug, Default)]
pub(super) struct Exits {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    watched: HashMap<RunId, watch::Sender<Option<ExitCause>>>,
    unclaimed: VecDeque<ContainerExit>,
}

impl Exits {
    /// Watches a run.
    pub(super) fn watch(&self, run: &RunId) -> ExitWatch {
        let mut inner = self.inner.lock().expect("nothing panics while it holds the exits");
        let earlier = inner.unclaimed.iter().find(|exit| exit.run == *run).map(|exit| exit.cause.clone());
        let (sender, receiver) = watch::channel(earlier);
        inner.watched.insert(run.clone(), sender);
        ExitWatch(receiver)
    }

    /// Takes the news that a run ended.
    pub(super) fn report(&self, exit: ContainerExit) {
        let mut inner = self.inner.lock().expect("nothing panics while it holds the exits");
        match inner.watched.get(&exit.run) {
            Some(sender) => {
                sender.send_if_modified(|cause| cause.is_none() && cause.replace(exit.cause).is_none());
            }
            None => {
                if inner.unclaimed.len() >= MAX_UNCLAIMED {
                    inner.unclaimed.pop_front();
                }
                inner.unclaimed.push_back(exit);
            }
        }
    }

    /// Watches a run no more.
    pub(super) fn forget(&self, run: &RunId) {
        self.inner.lock().expect("nothing panics while it holds the exits").watched.remove(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_is_heard_also_if_it_came_first() {
        let exits = Exits::default();
        let run = RunId("a".into());
        exits.report(ContainerExit { run: run.clone(), cause: ExitCause::Code(3) });
        assert_eq!(exits.watch(&run).ended().await, ExitCause::Code(3));
    }

    #[tokio::test]
    async fn the_first_cause_counts() {
        let exits = Exits::default();
        let run = RunId("a".into());
        let mut watch = exits.watch(&run);
        for cause in [ExitCause::OutOfMemory, ExitCause::Code(137)] {
            exits.report(ContainerExit { run: run.clone(), cause });
        }
        assert_eq!(watch.ended().await, ExitCause::OutOfMemory);
    }
}
