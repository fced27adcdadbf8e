//! The engine's client: connected when it is first needed, every request with a time limit, fast failure while it is down.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error as DockerError};
use selena_core::ports::{EngineState, SandboxError};
use selena_killpoints::point;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::failure;

/// Limit of one request, to the last byte of its answer (fault R03).
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// Limit inside the client, which counts only to the head of an answer; above any limit used here.
const CLIENT_LIMIT_SECS: u64 = 3600;

/// Requests that change nothing begin so.
const LOOKS: [&str; 4] = ["listing", "looking", "reading", "measuring"];

/// Docker, and what is known of whether it answers.
#[derive(Debug)]
pub(crate) struct Engine {
    socket: PathBuf,
    client: OnceLock<Docker>,
    state: watch::Sender<EngineState>,
    doubt: Notify,
}

impl Engine {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, client: OnceLock::new(), state: watch::Sender::new(EngineState::Unknown), doubt: Notify::new() }
    }

    pub(crate) fn state(&self) -> watch::Receiver<EngineState> {
        self.state.subscribe()
    }

    /// Said by the supervising task alone.
    pub(crate) fn set_state(&self, state: EngineState) {
        self.state.send_if_modified(|known| {
            let changed = *known != state;
            *known = state;
            changed
        });
    }

    /// Comes back when a request found no answer, so that it is looked at at once.
    pub(crate) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// The client, also while the engine is down. Fails only if there is no socket file.
    pub(crate) fn client(&self) -> Result<Docker, DockerError> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = Docker::connect_with_unix(&self.socket.to_string_lossy(), CLIENT_LIMIT_SECS, API_DEFAULT_VERSION)?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// Asks the engine, within the usual limit.
    pub(crate) async fn ask<T, F>(
        &self,
        attempted: &'static str,
        request: impl FnOnce(Docker) -> F,
    ) -> Result<T, SandboxError>
    where
        F: Future<Output = Result<T, DockerError>>,
    {
        self.ask_within(REQUEST_LIMIT, attempted, request).await
    }

    /// Asks the engine; fails at once while it is known to be down.
    pub(crate) async fn ask_within<T, F>(
        &self,
        limit: Duration,
        attempted: &'static str,
        request: impl FnOnce(Docker) -> F,
    ) -> Result<T, SandboxError>
    where
        F: Future<Output = Result<T, DockerError>>,
    {
        if let EngineState::Down(reason) = &*self.state.borrow() {
            return Err(SandboxError::EngineDown { attempted, source: reason.clone().into() });
        }
        let changes = !LOOKS.iter().any(|look| attempted.starts_with(look));
        if changes {
            point(attempted);
        }
        let answer = match self.client() {
            Ok(docker) => timeout(limit, request(docker)).await.unwrap_or(Err(DockerError::RequestTimeoutError)),
            Err(error) => Err(error),
        };
        if changes {
            point("what follows a request to the engine");
        }
        answer.map_err(|error| self.failed(attempted, error))
    }

    /// As `ask`, but "there is no such thing" (404) is `None`.
    pub(crate) async fn ask_if_there<T, F>(
        &self,
        attempted: &'static str,
        request: impl FnOnce(Docker) -> F,
    ) -> Result<Option<T>, SandboxError>
    where
        F: Future<Output = Result<T, DockerError>>,
    {
        let optional = |docker| {
            let answer = request(docker);
            async {
                match answer.await {
                    Ok(answer) => Ok(Some(answer)),
                    Err(error) if failure::has_status(&error, 404) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        };
        self.ask(attempted, optional).await
    }

    fn failed(&self, attempted: &'static str, error: DockerError) -> SandboxError {
        let error = failure::engine(attempted, error);
        if matches!(error, SandboxError::EngineDown { .. }) {
            self.doubt.notify_one();
        }
        error
    }
}
