//! Asking a module how it is.

use std::time::Duration;

use selena_types::{Manifest, ModulePort};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Modules, slot::Active};
use crate::{
    ApiError, jobs,
    ports::{ExitCause, ModuleAddress, ModuleRequest, RunId},
};

/// How long one `GET /health` may take.
pub(super) const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// Most of its answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The pauses between questions while a module starts: from this, doubling, to that.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

impl Modules {
    /// Waits until a run answers `GET /health` with 200.
    pub(super) async fn until_healthy(
        &self,
        active: &Active,
        manifest: &Manifest,
        deadline: Instant,
        ends_by_itself: bool,
    ) -> Result<(), ApiError> {
        let name = manifest.name.clone();
        let Some(port) = manifest.port else { return Err(ApiError::Unavailable("a module without a port")) };
        let mut exit = active.exit.clone();
        let begun = Instant::now();
        let mut last = "it does not listen on its port".to_owned();
        let healthy = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.ask_health(&active.run.run, port).await {
                    Ok(()) => return,
                    Err(why) => last = why,
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        let detail = tokio::select! {
            cause = exit.ended() => match cause {
                // A scheduled module may have done its work before it was asked; in a trial it has to be asked.
                ExitCause::Code(0) if ends_by_itself => return Ok(()),
                // Not the module's doing.
                ExitCause::EngineRestarted => return Err(ApiError::EngineDown("it restarted meanwhile".to_owned())),
                ExitCause::Gone => {
                    let detail = "its container was removed from outside while it started".to_owned();
                    return Err(ApiError::Container { name, code: "container_error", detail });
                }
                cause => format!("it ended with {cause}"),
            },
            stopped = jobs::stopped() => return Err(stopped),
            outcome = timeout_at(deadline, healthy) => match outcome {
                Ok(()) => return Ok(()),
                Err(_elapsed) => format!("not within {} s: {last}", begun.elapsed().as_secs()),
            },
        };
        Err(ApiError::Unhealthy { name, detail })
    }

    /// Asks once; an error says what is wrong.
    pub(super) async fn ask_health(&self, run: &RunId, port: ModulePort) -> Result<(), String> {
        let address = ModuleAddress::Run { run: run.clone(), port: port.get() };
        let request = ModuleRequest {
            path: "/health",
            headers: &[],
            body: None,
            timeout: HEALTH_TIMEOUT,
            max_answer_bytes: MAX_ANSWER_BYTES,
        };
        match self.parts.calls.call(&address, request).await {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(format!("GET /health answered {}", answer.status)),
            Err(error) => Err(crate::error::chain(&error)),
        }
    }
}
