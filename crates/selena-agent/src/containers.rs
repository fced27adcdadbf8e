//! The containers of modules, through Docker's command line: it works when the core does not.

use std::{path::PathBuf, time::Duration};

use crate::{
    arguments::Run,
    waits::{ProgramError, Waits},
};

/// How long a module has to end by itself (protocol, section 8.2).
const STOP_SECS: &str = "5";
/// How long Docker may take to tell what runs.
const LIST_LIMIT: Duration = Duration::from_secs(5);
/// After this time what has not ended is killed, so that nothing runs five seconds after the discovery; Docker alone
/// would do it half a second too late.
const STOP_LIMIT: Duration = Duration::from_secs(4);
/// How often it is looked again until none runs.
const ROUNDS: u32 = 5;

/// Docker, as the agent uses it.
#[derive(Clone, Debug)]
pub(crate) struct Containers {
    docker: PathBuf,
    label: String,
}

impl Containers {
    /// The containers with the label of the command line.
    pub(crate) fn new(run: &Run) -> Self {
        Self { docker: run.docker.clone(), label: run.container_label.clone() }
    }

    /// Stops all that run, in parallel; how many ran. What Docker refuses is told, and nothing waits for it.
    pub(crate) fn stop_all(&self, waits: &Waits) -> Option<usize> {
        let running = self.running(waits)?;
        if running.is_empty() {
            return Some(0);
        }
        tracing::warn!(containers = running.len(), "stopping the containers of all modules");
        let stop = self.ask(waits, &["stop", "--time", STOP_SECS], &running, STOP_LIMIT);
        if stop.is_none() {
            tracing::warn!("modules that have not ended by now are killed");
            // `kill` complains of those that were stopped meanwhile, and kills the others.
            let _killed = self.ask(waits, &["kill"], &running, LIST_LIMIT);
        }
        Some(running.len())
    }

    /// Stops, again and again for a while, until none runs; whether that is so.
    pub(crate) fn stop_until_none(&self, waits: &Waits) -> bool {
        for _round in 0..ROUNDS {
            match self.stop_all(waits) {
                Some(0) => return true,
                Some(_) => {}
                None => return false,
            }
        }
        tracing::error!("containers of modules are started again and again: stop Docker");
        false
    }

    fn running(&self, waits: &Waits) -> Option<Vec<String>> {
        let filter = format!("label={}", self.label);
        let ids = self.ask(waits, &["ps", "--quiet", "--no-trunc", "--filter", &filter], &[], LIST_LIMIT)?;
        Some(ids.lines().map(str::to_owned).collect())
    }

    fn ask(&self, waits: &Waits, task: &[&str], containers: &[String], limit: Duration) -> Option<String> {
        let arguments: Vec<_> = task.iter().copied().chain(containers.iter().map(String::as_str)).collect();
        match waits.run(&self.docker, &arguments, limit) {
            Ok(ended) if ended.status.success() => Some(ended.output),
            Ok(ended) => {
                tracing::error!(task = task[0], status = %ended.status, "Docker did not do it: its containers may still run");
                None
            }
            Err(error) => {
                let cause = cause(&error);
                tracing::error!(task = task[0], %error, cause, "Docker does not answer: its containers may still run");
                None
            }
        }
    }
}

fn cause(error: &ProgramError) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}
