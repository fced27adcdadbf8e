//! The integrity agent beside a hub.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::programs;

/// The agent's program and what it is told; its keys lie in a directory of the test's.
#[derive(Debug)]
pub struct Agent {
    dir: PathBuf,
    options: Vec<String>,
}

/// An agent that watches; killed when dropped.
#[derive(Debug)]
pub struct Watching(Child);

impl Agent {
    /// The agent of the hub with this data; `dir` is the test's own.
    #[must_use]
    pub fn of(data_dir: &Path, dir: &Path) -> Self {
        let option = |name: &str, value: PathBuf| [name.to_owned(), value.display().to_string()];
        let places = [
            option("--secure-dir", data_dir.join("secure")),
            option("--data-dir", data_dir.to_owned()),
            option("--signing-key", dir.join("agent.key")),
        ];
        Self { dir: dir.to_owned(), options: places.into_iter().flatten().collect() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(programs::agent());
        command.args(&self.options).stdin(Stdio::null());
        command
    }

    /// Records files as they are.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn baseline(&self, path: &Path) {
        let output = self.command().arg("baseline").arg(path).output().expect("the agent runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Announces a change of a path for ten minutes, or takes it back.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn announce(&self, change: Option<(&str, &Path)>) {
        let mut command = self.command();
        command.arg("maintenance");
        match change {
            Some((kind, path)) => command.args(["--kind", kind, "--for", "600"]).arg(path),
            None => command.arg("--end"),
        };
        let output = command.output().expect("the agent runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Watches, once a second; `restart` is a script that restarts the hub, and containers with `label` are stopped.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn watch(&self, port: u16, label: &str, restart: &str) -> Watching {
        let program = self.dir.join("restart");
        fs::write(&program, format!("#!/bin/sh\n{restart}\n")).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("changed");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log");
        let mut command = self.command();
        command.args(["run", "--interval", "1", "--container-label", label, "--restart-command"]).arg(program);
        command.args(["--core-url", &format!("http://127.0.0.1:{port}")]).stdout(Stdio::null()).stderr(log);
        Watching(command.spawn().expect("the agent starts"))
    }

    /// All that it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("agent.log")
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _dead_already = self.0.kill();
        let _waited_for_already = self.0.wait();
    }
}
