//! The runs that are known: how far each is, its namespace, and that its end is told once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use selena_core::ports::{ContainerExit, ExitCause, RunId, SandboxError};
use tokio::sync::mpsc;

use crate::namespace::Namespace;

/// How far a run is.
#[derive(Debug)]
enum Stage {
    /// `start` works on it and answers for it.
    Starting,
    /// It ended before `start` was done with it.
    EndedEarly,
    /// It was handed out; its end is reported.
    Running(Arc<Namespace>),
}

#[derive(Debug)]
struct Run {
    stage: Stage,
    /// The kernel killed something in it for want of memory.
    out_of_memory: bool,
}

/// All runs that this sandbox started and that have not ended.
#[derive(Debug)]
pub(crate) struct Runs {
    runs: Mutex<HashMap<RunId, Run>>,
    exits: mpsc::UnboundedSender<ContainerExit>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<ContainerExit>>>,
}

impl Runs {
    pub(crate) fn new() -> Self {
        let (exits, receiver) = mpsc::unbounded_channel();
        Self { runs: Mutex::default(), exits, receiver: Mutex::new(Some(receiver)) }
    }

    /// The ends of runs; a second caller gets a channel that is closed.
    pub(crate) fn exits(&self) -> mpsc::UnboundedReceiver<ContainerExit> {
        let taken = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| mpsc::unbounded_channel().1)
    }

    /// Makes a run known before it is started, so that no event of it comes too early.
    pub(crate) fn begin(self: &Arc<Self>, run: RunId) -> PendingRun {
        self.lock().insert(run.clone(), Run { stage: Stage::Starting, out_of_memory: false });
        PendingRun { run, runs: Arc::clone(self) }
    }

    /// Notes an end, and reports it if the run was handed out. Unknown runs, and those told before, are passed over.
    pub(crate) fn ended(&self, run: &RunId, cause: ExitCause) {
        let mut runs = self.lock();
        let Some(known) = runs.get_mut(run) else { return };
        if !matches!(known.stage, Stage::Running(_)) {
            known.stage = Stage::EndedEarly;
            return;
        }
        runs.remove(run);
        // Nobody listens any more only when the hub itself ends.
        let _ = self.exits.send(ContainerExit { run: run.clone(), cause });
    }

    /// Notes that the kernel killed something in the run for want of memory.
    pub(crate) fn out_of_memory(&self, run: &RunId) {
        if let Some(known) = self.lock().get_mut(run) {
            known.out_of_memory = true;
        }
    }

    pub(crate) fn was_out_of_memory(&self, run: &RunId) -> bool {
        self.lock().get(run).is_some_and(|known| known.out_of_memory)
    }

    pub(crate) fn is_known(&self, run: &RunId) -> bool {
        self.lock().contains_key(run)
    }

    /// The runs that were handed out and have not ended.
    pub(crate) fn running(&self) -> Vec<RunId> {
        let handed_out = |(run, known): (&RunId, &Run)| matches!(known.stage, Stage::Running(_)).then(|| run.clone());
        self.lock().iter().filter_map(handed_out).collect()
    }

    pub(crate) fn namespace(&self, run: &RunId) -> Result<Arc<Namespace>, SandboxError> {
        match self.lock().get(run) {
            Some(Run { stage: Stage::Running(namespace), .. }) => Ok(Arc::clone(namespace)),
            _ => Err(SandboxError::RunEnded),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run that is being started; forgotten if it is dropped before it is handed out.
#[derive(Debug)]
pub(crate) struct PendingRun {
    run: RunId,
    runs: Arc<Runs>,
}

impl PendingRun {
    pub(crate) fn id(&self) -> &RunId {
        &self.run
    }

    /// From here on the end of the run is reported. Fails if it ended already.
    pub(crate) fn hand_out(self, namespace: Arc<Namespace>) -> Result<RunId, SandboxError> {
        match self.runs.lock().get_mut(&self.run) {
            Some(known) if matches!(known.stage, Stage::Starting) => known.stage = Stage::Running(namespace),
            _ => return Err(SandboxError::RunEnded),
        }
        Ok(self.run.clone())
    }
}

impl Drop for PendingRun {
    fn drop(&mut self) {
        let mut runs = self.runs.lock();
        if runs.get(&self.run).is_some_and(|known| !matches!(known.stage, Stage::Running(_))) {
            runs.remove(&self.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunId {
        RunId("a".repeat(64))
    }

    #[test]
    fn an_end_is_reported_once() {
        let runs = Arc::new(Runs::new());
        let mut exits = runs.exits();
        runs.begin(run()).hand_out(Arc::new(Namespace::own_for_test())).unwrap();
        runs.ended(&run(), ExitCause::Code(3));
        runs.ended(&run(), ExitCause::Gone);
        assert_eq!(exits.try_recv(), Ok(ContainerExit { run: run(), cause: ExitCause::Code(3) }));
        assert!(exits.try_recv().is_err());
        assert!(matches!(runs.namespace(&run()), Err(SandboxError::RunEnded)));
    }

    #[test]
    fn an_end_during_the_start_is_the_answer_of_the_start() {
        let runs = Arc::new(Runs::new());
        let mut exits = runs.exits();
        let pending = runs.begin(run());
        runs.ended(&run(), ExitCause::Code(127));
        assert!(matches!(pending.hand_out(Arc::new(Namespace::own_for_test())), Err(SandboxError::RunEnded)));
        assert!(exits.try_recv().is_err());
        assert!(!runs.is_known(&run()));
    }

    #[test]
    fn a_start_that_is_given_up_leaves_nothing() {
        let runs = Arc::new(Runs::new());
        drop(runs.begin(run()));
        assert!(!runs.is_known(&run()));
    }

    #[test]
    fn the_second_receiver_is_closed() {
        let runs = Runs::new();
        let _first = runs.exits();
        assert!(runs.exits().is_closed());
    }
}
