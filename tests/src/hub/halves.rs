//! The two processes of a hub, each by itself.

use std::{fs, path::PathBuf};

use super::Hub;
use crate::{processes, start::spawn_core};

impl Hub {
    /// Kills the core only.
    pub fn kill_core(&mut self) {
        processes::kill(&mut self.processes.core);
    }

    /// Kills the sandbox only.
    ///
    /// # Panics
    /// If it is no process of its own.
    pub fn kill_sandbox(&mut self) {
        processes::kill(self.processes.sandbox.as_mut().expect("the hub is two processes"));
    }

    /// Starts the core again; its port changes.
    #[track_caller]
    pub fn start_core_again(&mut self) {
        let dir = self.dir.path();
        (self.processes.core, self.port) =
            spawn_core(&self.options, dir, &self.prefix, &self.token, &self.webhook_secret);
    }

    /// Starts the sandbox again.
    #[track_caller]
    pub fn start_sandbox_again(&mut self) {
        self.processes.sandbox = Some(processes::spawn_sandbox(&self.options, self.dir.path(), &self.prefix));
    }

    /// All that its sandbox logged, if that is a process of its own.
    #[must_use]
    pub fn sandbox_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("sandbox-log")).unwrap_or_default()
    }

    /// The sandbox's process.
    ///
    /// # Panics
    /// If it is no process of its own.
    #[must_use]
    pub fn sandbox_pid(&self) -> i32 {
        self.processes.sandbox.as_ref().expect("the hub is two processes").id().cast_signed()
    }

    /// The socket between core and sandbox.
    #[must_use]
    pub fn sandbox_socket(&self) -> PathBuf {
        self.dir.path().join("run/sandbox.sock")
    }
}
