//! The calls of a core, each in a task of its own.

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use selena_core::ports::{
    ContainerSpec, DataVolumes, EngineUse, ListedContainer, RunUsage, Sandbox, SandboxError, StartedContainer,
    VolumeError,
};
use selena_types::ModuleName;
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Gate, Refusal, Tally, session::Outgoing};
use crate::{
    Request, big, failure,
    message::{Answer, Call, Failure, Listed, ModuleDisk, ToCore, Usage},
};

/// Calls that may be under way at one time, of all connections together.
const MAX_CALLS: usize = 256;
/// A call takes no longer, whatever the core says: importing the largest image takes ten minutes.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Most bytes of a log.
const MAX_LOG_BYTES: usize = 2 * 1024 * 1024;

/// What the calls of all connections share.
#[derive(Debug)]
pub(super) struct Calls {
    sandbox: Arc<dyn Sandbox>,
    volumes: Arc<dyn DataVolumes>,
    gate: Arc<dyn Gate>,
    tally: Arc<Tally>,
    places: Arc<Semaphore>,
    /// Changes that go on when nobody waits for them any more.
    changes: TaskTracker,
    /// Held by whatever makes or purges containers of a module: a start that a core left behind is undone before the
    /// next core's begins.
    modules: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
}

type Outcome = Result<(Answer, Vec<OwnedFd>), Failure>;

impl Calls {
    pub(super) fn new(
        sandbox: Arc<dyn Sandbox>,
        volumes: Arc<dyn DataVolumes>,
        gate: Arc<dyn Gate>,
        tally: Arc<Tally>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(MAX_CALLS));
        Self { sandbox, volumes, gate, tally, places, changes: TaskTracker::new(), modules: Mutex::default() }
    }

    /// Waits until the changes that were begun are done.
    pub(super) async fn settle(&self) {
        self.changes.close();
        self.changes.wait().await;
    }

    fn admit(&self, call: Call, descriptors: Vec<OwnedFd>) -> Result<Request, Refusal> {
        let request = Request::parse(call, descriptors)?;
        self.gate.check(&request).map(|()| request)
    }

    /// Writes down what was refused, and puts it into the answer.
    fn refused(&self, call: &'static str, refusal: Refusal) -> Failure {
        self.tally.calls.fetch_add(1, Ordering::Relaxed);
        let Refusal { code, detail } = refusal;
        tracing::warn!(refusal = code, call, detail, "a call of the core was refused");
        Failure::Refused { code: code.to_owned(), detail }
    }

    async fn module(&self, name: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
            modules.retain(|_, lock| Arc::strong_count(lock) > 1);
            modules.entry(name.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }

    /// A call that changes nothing, or whose change is complete whenever it ends.
    async fn plain(&self, request: Request) -> Outcome {
        let sandbox = &self.sandbox;
        let nothing = |done: Result<(), SandboxError>| done.map(|()| (Answer::Nothing, Vec::new()));
        let answer = match request {
            Request::Start(spec) => sandbox.start(*spec).await.map(started),
            Request::Stop { run, grace } => nothing(sandbox.stop(&run, grace).await),
            Request::ReleaseData { module, image } => nothing(sandbox.release_data(&module, &image).await),
            Request::CopyData { module, from, to } => nothing(sandbox.copy_data(&module, &from, &to).await),
            Request::Remove { run } => nothing(sandbox.remove(&run).await),
            Request::Purge { module } => {
                let _alone = self.module(module.as_str()).await;
                nothing(sandbox.purge(&module).await)
            }
            Request::PruneImages { module, keep } => nothing(sandbox.prune_images(&module, &keep).await),
            Request::ImageOwners => sandbox.image_owners().await.map(|names| (owners(&names), Vec::new())),
            Request::DiskUse => sandbox.disk_use().await.map(|used| (disk_use(used), Vec::new())),
            Request::ReadOut { image, into } => about_data(self.volumes.read_out(&image, into.into()).await),
            Request::Fill { image, mib, owner, from } => {
                about_data(self.volumes.fill(&image, mib, owner, from.into()).await)
            }
            Request::List => sandbox.list().await.map(|list| (listed(list), Vec::new())),
            Request::Socket { run } => sandbox.socket(&run).await.map(|socket| (Answer::Socket, vec![socket])),
            Request::Usage { run } => sandbox.usage(&run).await.map(|usage| (measured(usage), Vec::new())),
            Request::Logs { module, purpose, max_bytes } => {
                let logs = sandbox.logs(&module, purpose, max_bytes.min(MAX_LOG_BYTES)).await;
                return logs.map_err(|error| failure::to_wire(&error)).and_then(|text| in_file(&text));
            }
        };
        answer.map_err(|error| failure::to_wire(&error))
    }

    /// Starts a container, to the end. If nobody takes it, it is removed: it would be nobody's.
    async fn start(&self, id: u64, spec: ContainerSpec, answers: Answers) {
        let module = spec.module.clone();
        let _alone = self.module(module.as_str()).await;
        if answers.cancelled.is_cancelled() {
            return answers.give(id, Err(Failure::Late)).await;
        }
        let started = match self.sandbox.start(spec).await {
            Ok(started) => started,
            Err(error) => return answers.give(id, Err(failure::to_wire(&error))).await,
        };
        let run = started.run.clone();
        if answers.cancelled.is_cancelled() || !answers.hand_over(id, started).await {
            tracing::info!(%module, %run, "a container that nobody waits for any more is removed");
            if let Err(error) = self.sandbox.remove(&run).await {
                tracing::warn!(%module, %run, error = &error as &dyn std::error::Error, "it is left over");
            }
            answers.give(id, Err(Failure::Late)).await;
        }
    }
}

/// The way back for one call, which is answered once.
#[derive(Clone, Debug)]
struct Answers {
    outgoing: mpsc::Sender<Outgoing>,
    cancelled: CancellationToken,
    answered: Arc<AtomicBool>,
}

impl Answers {
    async fn give(&self, id: u64, outcome: Outcome) {
        if self.answered.swap(true, Ordering::Relaxed) {
            return;
        }
        let outgoing = match outcome {
            Ok((answer, descriptors)) => Outgoing { message: ToCore::Done { id, answer }, descriptors, written: None },
            Err(failure) => ToCore::Failed { id, failure }.into(),
        };
        // The core went meanwhile.
        let _gone = self.outgoing.send(outgoing).await;
    }

    /// Whether the started container was written to the core.
    async fn hand_over(&self, id: u64, container: StartedContainer) -> bool {
        if self.answered.swap(true, Ordering::Relaxed) {
            return false;
        }
        let (answer, descriptors) = started(container);
        let (written, told) = oneshot::channel();
        let message = ToCore::Done { id, answer };
        self.outgoing.send(Outgoing { message, descriptors, written: Some(written) }).await.is_ok()
            && told.await.is_ok()
    }
}

/// The calls of one connection. Dropped, it cancels them.
#[derive(Debug)]
pub(super) struct Desk {
    calls: Arc<Calls>,
    outgoing: mpsc::Sender<Outgoing>,
    under_way: Arc<Mutex<HashMap<u64, CancellationToken>>>,
    gone: CancellationToken,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

impl Desk {
    pub(super) fn new(calls: Arc<Calls>, outgoing: mpsc::Sender<Outgoing>) -> Self {
        Self { calls, outgoing, under_way: Arc::default(), gone: CancellationToken::new() }
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<u64, CancellationToken>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody waits for that call any more. One that was answered is unknown by now.
    pub(super) fn cancel(&self, id: u64) {
        if let Some(call) = self.under_way().get(&id) {
            call.cancel();
        }
    }

    /// Takes a call; `false` if one of that number is under way.
    pub(super) fn take(&self, id: u64, limit: Duration, call: Call, descriptors: Vec<OwnedFd>) -> bool {
        let cancelled = self.gone.child_token();
        if self.under_way().contains_key(&id) {
            return false;
        }
        self.under_way().insert(id, cancelled.clone());
        let answers = Answers { outgoing: self.outgoing.clone(), cancelled, answered: Arc::default() };
        let (calls, under_way) = (self.calls.clone(), self.under_way.clone());
        self.calls.changes.spawn(async move {
            calls.answer(id, limit.min(LONGEST), call, descriptors, answers).await;
            under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
        true
    }
}

impl Calls {
    async fn answer(self: Arc<Self>, id: u64, limit: Duration, call: Call, passed: Vec<OwnedFd>, answers: Answers) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return answers.give(id, Err(Failure::Busy)).await;
        };
        let name = call.name();
        let request = match self.admit(call, passed) {
            Ok(request) => request,
            Err(refusal) => return answers.give(id, Err(self.refused(name, refusal))).await,
        };
        if request.may_be_dropped() {
            let asked = async { timeout(limit, self.plain(request)).await.unwrap_or(Err(Failure::Late)) };
            tokio::select! {
                () = answers.cancelled.cancelled() => answers.give(id, Err(Failure::Late)).await,
                outcome = asked => answers.give(id, outcome).await,
            }
            return;
        }
        // A task of its own, so that no limit and no end of a connection leaves a change half-done.
        let (calls, change) = (self.clone(), answers.clone());
        let work = self.changes.spawn(async move {
            let _place = place;
            match request {
                Request::Start(spec) => calls.start(id, *spec, change).await,
                other => {
                    let outcome = calls.plain(other).await;
                    change.give(id, outcome).await;
                }
            }
        });
        if timeout(limit, work).await.is_err() {
            answers.cancelled.cancel();
            answers.give(id, Err(Failure::Late)).await;
        }
    }
}

impl Request {
    /// Whether it changes nothing, so that it can be given up at any moment.
    fn may_be_dropped(&self) -> bool {
        matches!(
            self,
            Self::List
                | Self::Socket { .. }
                | Self::Usage { .. }
                | Self::Logs { .. }
                | Self::ImageOwners
                | Self::DiskUse
        )
    }
}

fn started(container: StartedContainer) -> (Answer, Vec<OwnedFd>) {
    let StartedContainer { run, listener, egress_listener } = container;
    let answer = Answer::Started { run: run.0, egress: egress_listener.is_some() };
    (answer, std::iter::once(listener).chain(egress_listener).collect())
}

fn listed(containers: Vec<ListedContainer>) -> Answer {
    let one = |container: ListedContainer| {
        let ListedContainer { run, module, trial, running } = container;
        Listed { run: run.0, module, trial, running }
    };
    Answer::Listed(containers.into_iter().map(one).collect())
}

fn about_data(done: Result<(), VolumeError>) -> Result<(Answer, Vec<OwnedFd>), SandboxError> {
    let answer = match done {
        Ok(()) => Answer::Nothing,
        Err(VolumeError::Refused(why)) => Answer::DataRefused(why),
        Err(VolumeError::TooLarge { mib }) => Answer::DataTooLarge { mib },
        Err(VolumeError::Sandbox(error)) => return Err(error),
    };
    Ok((answer, Vec::new()))
}

fn owners(names: &[ModuleName]) -> Answer {
    Answer::Owners(names.iter().map(ModuleName::to_string).collect())
}

fn disk_use(used: BTreeMap<String, EngineUse>) -> Answer {
    let one = |(module, used): (String, EngineUse)| {
        let EngineUse { image_bytes, log_bytes, data_used_bytes } = used;
        ModuleDisk { module, image_bytes, log_bytes, data_used_bytes }
    };
    Answer::DiskUse(used.into_iter().map(one).collect())
}

fn measured(usage: RunUsage) -> Answer {
    let RunUsage { peak_memory_bytes, open_ports, peak_processes, programs } = usage;
    Answer::Usage(Usage { peak_memory_bytes, open_ports, peak_processes, programs })
}

fn in_file(text: &str) -> Outcome {
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let file = big::in_file(text.as_bytes()).map_err(|error| Failure::System(error.to_string()))?;
    Ok((Answer::Logs { bytes }, vec![file]))
}
