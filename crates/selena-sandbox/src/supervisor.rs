//! The task that follows the engine's events: it says whether the engine answers, and which runs ended and why.

use std::{
    collections::HashMap,
    future::pending,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{
    Docker,
    errors::Error as DockerError,
    models::{ContainerState, ContainerStateStatusEnum, EventMessage},
    query_parameters::{EventsOptions, KillContainerOptions},
};
use futures_util::{Stream, StreamExt};
use selena_core::ports::{EngineState, ExitCause, RunId};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{failure::has_status, sandbox::Shared};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A frozen engine keeps its event stream open and silent, so it is asked this often.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_LIMIT: Duration = Duration::from_secs(10);
/// The kernel's word about memory and the end of a container come to the engine by two ways.
const OOM_PATIENCE: Duration = Duration::from_millis(300);
/// SIGKILL, which is how the kernel ends what needs too much memory.
const KILLED: i64 = 137;

/// Follows the engine until the task is aborted.
pub(crate) async fn supervise(shared: Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let reason = match connect(&shared).await {
            Ok((docker, events)) => {
                pause = FIRST_PAUSE;
                Follower { shared: &shared, docker, undecided: Vec::new() }.follow(events).await
            }
            Err(error) => chain(&error),
        };
        tracing::warn!(reason, "the container engine does not answer");
        shared.engine.set_state(EngineState::Down(reason));
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Finds the engine, subscribes, and finds out which runs ended while nobody listened.
async fn connect(
    shared: &Shared,
) -> Result<(Docker, impl Stream<Item = Result<EventMessage, DockerError>> + Unpin + use<>), DockerError> {
    let docker = shared.engine.client()?;
    within(docker.clone().negotiate_version()).await?;
    // Events from this moment on are sent again, so none is lost between the list and the subscription.
    let since = now();
    // Asked for first: a run that is handed out while the engine makes its list is not in that list.
    let known = shared.runs.running();
    let running = running(shared, &docker).await?;
    let events = docker.events(Some(events_of_hub(shared, since)));
    for run in known.into_iter().filter(|run| !running.contains(run)) {
        shared.runs.ended(&run, ExitCause::EngineRestarted);
    }
    shared.engine.set_state(EngineState::Up);
    tracing::info!("the container engine answers");
    Ok((docker, events))
}

async fn running(shared: &Shared, docker: &Docker) -> Result<Vec<RunId>, DockerError> {
    let options = bollard::query_parameters::ListContainersOptions {
        filters: Some(HashMap::from([("label".to_owned(), vec![shared.config.hub_label()])])),
        ..Default::default()
    };
    let containers = within(docker.list_containers(Some(options))).await?;
    Ok(containers.into_iter().filter_map(|container| container.id.map(RunId)).collect())
}

fn events_of_hub(shared: &Shared, since: String) -> EventsOptions {
    let filters = [
        ("type", vec!["container".to_owned()]),
        ("event", ["start", "oom", "die", "destroy"].map(str::to_owned).into()),
        ("label", vec![shared.config.hub_label()]),
    ];
    let filters = filters.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
    EventsOptions { since: Some(since), until: None, filters: Some(filters) }
}

/// Unix time as the engine writes it.
fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", now.as_secs(), now.subsec_nanos())
}

async fn within<T>(request: impl Future<Output = Result<T, DockerError>>) -> Result<T, DockerError> {
    timeout(PING_LIMIT, request).await.unwrap_or(Err(DockerError::RequestTimeoutError))
}

/// An error with its causes, for people.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// One connection to the engine.
struct Follower<'a> {
    shared: &'a Shared,
    docker: Docker,
    /// Runs that were killed, perhaps for want of memory, and when that is decided without further word.
    undecided: Vec<(Instant, RunId)>,
}

impl Follower<'_> {
    /// Handles events until the engine does not answer any more; tells why.
    async fn follow(mut self, mut events: impl Stream<Item = Result<EventMessage, DockerError>> + Unpin) -> String {
        let mut pings = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        loop {
            let decision = self.undecided.first().map(|(deadline, _)| *deadline);
            let lost = tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => { self.handle(event).await; None }
                    Some(Err(error)) => Some(chain(&error)),
                    None => Some("it ended its event stream".to_owned()),
                },
                () = reached(decision) => { self.decide().await; None }
                _ = pings.tick() => self.ping().await,
                () = self.shared.engine.doubted() => self.ping().await,
            };
            if let Some(reason) = lost {
                return reason;
            }
        }
    }

    async fn ping(&self) -> Option<String> {
        within(self.docker.ping()).await.err().map(|error| chain(&error))
    }

    async fn handle(&mut self, event: EventMessage) {
        let Some(actor) = event.actor else { return };
        let Some(run) = actor.id.map(RunId) else { return };
        let attributes = actor.attributes.unwrap_or_default();
        match event.action.as_deref() {
            Some("start") if !self.shared.runs.is_known(&run) => self.kill(&run).await,
            Some("oom") => self.out_of_memory(&run),
            Some("die") => self.died(run, attributes.get("exitCode").and_then(|code| code.parse().ok())).await,
            Some("destroy") => self.shared.runs.ended(&run, ExitCause::Gone),
            _ => {}
        }
    }

    /// A container of this hub that the hub did not start has no listener, and a data volume that is nobody's.
    async fn kill(&self, run: &RunId) {
        match within(self.docker.kill_container(&run.0, None::<KillContainerOptions>)).await {
            Ok(()) => tracing::warn!(%run, "a container that was started by somebody else was killed"),
            // Often it is a start of before that has long ended.
            Err(error) if has_status(&error, 404) || has_status(&error, 409) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%run, error, "a container that was started by somebody else could not be killed");
            }
        }
    }

    fn out_of_memory(&mut self, run: &RunId) {
        self.shared.runs.out_of_memory(run);
        if self.undecided.iter().any(|(_, waiting)| waiting == run) {
            self.shared.runs.ended(run, ExitCause::OutOfMemory);
        }
    }

    async fn died(&mut self, run: RunId, code: Option<i64>) {
        let code = code.unwrap_or(-1);
        if code != KILLED {
            // A worker of the module may have been killed before; the module itself ended in another way.
            self.shared.runs.ended(&run, ExitCause::Code(code));
            return;
        }
        match self.why_killed(&run).await {
            Some(cause) => self.shared.runs.ended(&run, cause),
            None => self.undecided.push((Instant::now() + OOM_PATIENCE, run)),
        }
    }

    /// Why a run was killed, if that is to be seen already.
    async fn why_killed(&self, run: &RunId) -> Option<ExitCause> {
        if self.shared.runs.was_out_of_memory(run) {
            return Some(ExitCause::OutOfMemory);
        }
        match within(self.docker.inspect_container(&run.0, None)).await {
            Ok(seen) => cause_in(&seen.state?),
            Err(error) => has_status(&error, 404).then_some(ExitCause::Gone),
        }
    }

    /// The first run that waits; without further word, it was simply killed.
    async fn decide(&mut self) {
        let (_, run) = self.undecided.remove(0);
        let cause = self.why_killed(&run).await.unwrap_or(ExitCause::Code(KILLED));
        self.shared.runs.ended(&run, cause);
    }
}

fn cause_in(state: &ContainerState) -> Option<ExitCause> {
    match state.status {
        _ if state.oom_killed == Some(true) => Some(ExitCause::OutOfMemory),
        Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => Some(ExitCause::Gone),
        _ => None,
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
