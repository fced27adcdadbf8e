//! A Docker of the test's own, which may be killed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command},
};

use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{Engine, Hub, gate::Gate, wait, walk::Victim};

/// A daemon with all its files in a directory of its own.
#[derive(Debug)]
pub struct OwnEngine {
    dir: TempDir,
    process: Option<Child>,
    live_restore: bool,
}

impl Default for OwnEngine {
    fn default() -> Self {
        let dir = tempfile::Builder::new().prefix("selena-docker-").tempdir().expect("a temporary directory");
        Self { dir, process: None, live_restore: false }
    }
}

impl OwnEngine {
    /// A daemon whose containers run on while it is away.
    #[must_use]
    pub fn with_live_restore() -> Self {
        let mut docker = Self::default();
        docker.live_restore = true;
        docker
    }

    /// Starts the daemon, and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) {
        self.process = Some(spawn(self.dir.path(), self.live_restore));
        wait::until("the test's own Docker answers", 40, || self.engine().answers());
    }

    /// The daemon's API, also while it is down.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine::at(&self.dir.path().join("docker.sock"))
    }

    /// Its process.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the daemon runs").id()
    }

    /// Sends it a signal that it lives with.
    ///
    /// # Panics
    /// If it does not run.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).expect("the daemon runs");
    }

    /// Kills the daemon as a crash would; fine if it is dead already.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        let containerd = fs::read_to_string(self.dir.path().join("exec/containerd/containerd.pid"));
        let containerd = PathBuf::from("/proc").join(containerd.expect("containerd runs").trim());
        let mut process = self.process.take().expect("the daemon runs");
        process.kill().expect("it can be killed");
        process.wait().expect("a killed process ends");
        // Its containerd dies with it, a moment later; a new daemon would take the old one for alive, and give up.
        wait::until("the killed Docker's containerd ends", 20, || !containerd.exists());
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        // Containers outlive a killed daemon; only a living one ends them.
        let dir = self.dir.path().to_owned();
        let mut process = self.process.take().unwrap_or_else(|| spawn(&dir, false));
        let _it_does_not_come = wait::holds(40, || self.engine().answers());
        self.engine().clean("");
        let _gone_already = kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGTERM);
        let _waited_for_already = process.wait();
        // It mounts its data directory over itself, and leaves it so.
        let _not_mounted = umount2(&dir.join("data"), MntFlags::MNT_DETACH);
    }
}

/// The daemon behind a gate, as the victim of a walk.
#[derive(Debug)]
pub struct Daemon {
    docker: OwnEngine,
    gate: Gate,
    next: u64,
    /// How often the hub had found it before it was killed.
    found: usize,
}

impl Default for Daemon {
    fn default() -> Self {
        let mut docker = OwnEngine::default();
        docker.start();
        let gate = Gate::new(&docker.engine());
        Self { docker, gate, next: 0, found: 0 }
    }
}

impl Daemon {
    /// The way to it that a hub has to take.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.gate.engine()
    }
}

impl Victim for Daemon {
    fn name(&self) -> &'static str {
        "dockerd"
    }

    fn ready(&mut self, hub: &mut Hub, number: u64) {
        if self.gate.killed() {
            self.docker.kill();
            self.docker.start();
            wait::until("the hub finds Docker again", 20, || times_found(hub) > self.found);
        }
        self.next = number;
    }

    fn count(&mut self, hub: &Hub) {
        self.found = times_found(hub);
        self.gate.count(self.docker.pid(), self.next);
    }

    fn counted(&mut self, _hub: &Hub) -> Vec<String> {
        self.gate.counted()
    }
}

fn times_found(hub: &Hub) -> usize {
    hub.log().matches("the container engine answers").count()
}

fn spawn(dir: &Path, live_restore: bool) -> Child {
    let log = File::options().create(true).append(true).open(dir.join("log")).expect("the log can be written");
    Command::new("dockerd")
        .args(["--bridge=none", "--iptables=false", "--containerd-namespace=selena-tests"])
        .arg("--containerd-plugins-namespace=selena-tests-plugins")
        .args(live_restore.then_some("--live-restore"))
        .arg("--data-root")
        .arg(dir.join("data"))
        .arg("--exec-root")
        .arg(dir.join("exec"))
        .arg("--pidfile")
        .arg(dir.join("pid"))
        .arg(format!("--host=unix://{}", dir.join("docker.sock").display()))
        .stdout(log.try_clone().expect("a descriptor can be copied"))
        .stderr(log)
        .spawn()
        .expect("this test needs `dockerd`: run scripts/setup")
}
