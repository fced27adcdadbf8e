//! The hub's listeners in a container's network namespace, and the proof that it is that container's.

use std::{path::PathBuf, sync::Arc};

use bollard::models::ContainerInspectResponse;
use selena_core::ports::{RunId, SandboxError};

use crate::{engine::Engine, failure, namespace::Namespace, sockets, sockets::Listeners};

const LOOKING: &str = "looking at the container that was started";
const PLACING: &str = "placing the listeners in the container's network namespace";

/// What tells one run of a container from the next, and where its namespace is.
#[derive(Debug, PartialEq, Eq)]
struct Sight {
    started_at: String,
    pid: i64,
    namespace_path: PathBuf,
}

/// Places the listeners. Looks at the container before and after: only if it is the same run both times, and the same
/// namespace, are the listeners good (fault R16).
pub(crate) async fn place(
    engine: &Engine,
    run: &RunId,
    with_egress: bool,
) -> Result<(Listeners, Arc<Namespace>), SandboxError> {
    let before = sight(engine, run).await?;
    match place_at(&before, with_egress).await {
        Ok((listeners, namespace)) => {
            let after = sight(engine, run).await?;
            let again = Namespace::open(&after.namespace_path).map_err(failure::system(PLACING))?;
            if before == after && again.id() == namespace.id() {
                Ok((listeners, namespace))
            } else {
                Err(SandboxError::RunEnded)
            }
        }
        // A run that ended takes its namespace along; then that is the reason, and not what could not be opened.
        Err(error) => sight(engine, run).await.and(Err(error)),
    }
}

async fn place_at(sight: &Sight, with_egress: bool) -> Result<(Listeners, Arc<Namespace>), SandboxError> {
    let namespace = Arc::new(Namespace::open(&sight.namespace_path).map_err(failure::system(PLACING))?);
    let place = move || sockets::listeners(with_egress);
    let listeners = Arc::clone(&namespace).run(place).await.map_err(failure::system(PLACING))?;
    Ok((listeners, namespace))
}

/// Process id of a run's first process.
pub(crate) async fn first_process(engine: &Engine, run: &RunId) -> Result<i64, SandboxError> {
    Ok(sight(engine, run).await?.pid)
}

/// The run as it is now; `RunEnded` if it does not run.
async fn sight(engine: &Engine, run: &RunId) -> Result<Sight, SandboxError> {
    let inspect = |docker: bollard::Docker| async move { docker.inspect_container(&run.0, None).await };
    let seen = engine.ask_if_there(LOOKING, inspect).await?.ok_or(SandboxError::RunEnded)?;
    running_sight(seen)
}

fn running_sight(seen: ContainerInspectResponse) -> Result<Sight, SandboxError> {
    let state = seen.state.ok_or_else(|| failure::incomplete(LOOKING, "state"))?;
    if state.running != Some(true) {
        return Err(SandboxError::RunEnded);
    }
    let path = seen.network_settings.and_then(|network| network.sandbox_key).filter(|path| !path.is_empty());
    Ok(Sight {
        started_at: state.started_at.ok_or_else(|| failure::incomplete(LOOKING, "start time"))?,
        pid: state.pid.unwrap_or_default(),
        namespace_path: path.ok_or_else(|| failure::incomplete(LOOKING, "network namespace"))?.into(),
    })
}
