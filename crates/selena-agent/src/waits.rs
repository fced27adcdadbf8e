//! All that the agent waits for: time, other programs, and the word to end.

use std::{
    io,
    path::Path,
    pin::Pin,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use selena_runtime::{notify, shutdown, shutdown::ShutdownSignal};
use tokio::{io::AsyncReadExt, process::Command, runtime::Runtime, time};

/// Longest answer of another program that is kept.
const MAX_OUTPUT_BYTES: u64 = 1024 * 1024;

/// Waits; on one thread, and never longer than it was told.
pub(crate) struct Waits {
    runtime: Runtime,
    shutdown: Pin<Box<dyn Future<Output = ShutdownSignal>>>,
    told_to_end: Option<ShutdownSignal>,
}

/// What became of another program.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it printed.
    pub(crate) output: String,
}

/// Why another program did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// It was not started, or not waited for.
    #[error("`{program}` cannot be run")]
    Io {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It did not end in time, and was killed.
    #[error("`{program}` did not end within {secs} s")]
    Late {
        /// Its name.
        program: String,
        /// How long it was given.
        secs: u64,
    },
}

impl Waits {
    /// From now on a signal that asks for the end is not lost.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shutdown = Box::pin({
            let _entered = runtime.enter();
            shutdown::listen()?
        });
        Ok(Self { runtime, shutdown, told_to_end: None })
    }

    /// Waits that long; `false`, at once, if the agent was told to end. The watchdog is fed meanwhile: waiting is work done.
    pub(crate) fn pause(&mut self, span: Duration) -> bool {
        let until = Instant::now() + span;
        let step = notify::watchdog_interval().unwrap_or(span);
        while self.told_to_end.is_none() {
            notify::watchdog();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let shutdown = &mut self.shutdown;
            self.told_to_end = self.runtime.block_on(async { time::timeout(left.min(step), shutdown).await }).ok();
        }
        false
    }

    /// The signal by which the agent was told to end.
    pub(crate) fn told_to_end(&self) -> Option<ShutdownSignal> {
        self.told_to_end
    }

    /// Runs a program to its end; one that is late is killed.
    ///
    /// # Errors
    /// [`ProgramError`].
    pub(crate) fn run(&self, program: &Path, arguments: &[&str], limit: Duration) -> Result<Ended, ProgramError> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        self.within(program, limit, ended(&mut command))
    }

    /// Runs a program whose children may live on; what it prints is not read.
    ///
    /// # Errors
    /// [`ProgramError`].
    pub(crate) fn call(&self, program: &Path, arguments: &[&str], limit: Duration) -> Result<ExitStatus, ProgramError> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        self.within(program, limit, async { command.status().await })
    }

    /// What becomes of a program within that time. The watchdog is fed meanwhile, since the wait has an end.
    fn within<T>(
        &self,
        program: &Path,
        limit: Duration,
        outcome: impl Future<Output = io::Result<T>>,
    ) -> Result<T, ProgramError> {
        let name = || program.display().to_string();
        let step = notify::watchdog_interval().unwrap_or(limit);
        let fed = async {
            loop {
                notify::watchdog();
                time::sleep(step).await;
            }
        };
        let waited = async {
            tokio::select! {
                outcome = time::timeout(limit, outcome) => outcome,
                never = fed => never,
            }
        };
        let late = |_| ProgramError::Late { program: name(), secs: limit.as_secs() };
        self.runtime.block_on(waited).map_err(late)?.map_err(|source| ProgramError::Io { program: name(), source })
    }
}

async fn ended(command: &mut Command) -> io::Result<Ended> {
    let mut child = command.spawn()?;
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_OUTPUT_BYTES).read_to_end(&mut output).await?;
    }
    let status = child.wait().await?;
    Ok(Ended { status, output: String::from_utf8_lossy(&output).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_late_is_killed() {
        let waits = Waits::new().expect("a runtime");
        let begun = Instant::now();
        let late = waits.run("sleep".as_ref(), &["60"], Duration::from_millis(200)).expect_err("late");
        assert!(matches!(late, ProgramError::Late { .. }) && begun.elapsed() < Duration::from_secs(20), "{late}");
        let ended = waits.run("echo".as_ref(), &["a"], Duration::from_secs(20)).expect("ran");
        assert!(ended.status.success() && ended.output == "a\n");
        assert!(matches!(waits.call("/no/such".as_ref(), &[], Duration::from_secs(1)), Err(ProgramError::Io { .. })));
    }
}
