//! The module as a plain process.

use std::{io, process::ExitStatus};

use tokio::process::{Child, Command};

use crate::FakeHub;

/// A module that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct ModuleProcess {
    child: Child,
}

impl FakeHub {
    /// Starts a module's program with its environment, and waits until it is healthy.
    ///
    /// # Panics
    /// If it does not start, ends, or is not healthy in time.
    pub async fn start_module(&self, mut command: Command) -> ModuleProcess {
        let mut child = self.spawn(&mut command).unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        tokio::select! {
            () = self.expect_healthy() => {}
            ended = child.wait() => panic!("the module ended before it was healthy: {ended:?}"),
        }
        ModuleProcess { child }
    }

    /// Starts a module's program with its environment and waits for its end, for a module that is to refuse or to finish.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn run_module(&self, mut command: Command) -> ExitStatus {
        let child = self.spawn(&mut command);
        let ended = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")).wait().await;
        ended.expect("a child is waited for once")
    }

    fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        self.tap.clear();
        command.envs(self.env()).kill_on_drop(true).spawn()
    }
}

impl ModuleProcess {
    /// The process's id.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("the module runs")
    }

    /// Waits for the module's own end.
    ///
    /// # Panics
    /// If the operating system does not know the process.
    pub async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.expect("a child can be waited for")
    }

    /// Kills it, as a power cut does.
    ///
    /// # Panics
    /// If the operating system does not know the process.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a child can be killed");
    }
}
