//! A machine of the test's own: Debian with systemd as process 1, in namespaces and control groups of its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{
    debian::{machine_root, text},
    programs, wait,
};

/// Where the kernel shows control groups.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// The machine, on or off; what is on its disk stays until this is dropped.
#[derive(Debug)]
pub struct Machine {
    dir: TempDir,
    group: String,
    on: Option<On>,
}

#[derive(Debug)]
struct On {
    process: Child,
    init: Pid,
}

impl Machine {
    /// A new machine that is on, and has started all that it starts.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("selena-boot-").tempdir().expect("a temporary directory");
        let name = dir.path().file_name().expect("it has a name").to_string_lossy().into_owned();
        let mut machine = Self { dir, group: name, on: None };
        machine.boot();
        machine
    }

    /// Switches it on.
    ///
    /// # Panics
    /// If it is on, or does not come up.
    #[track_caller]
    pub fn boot(&mut self) {
        assert!(self.on.is_none(), "it is on");
        let log = File::create(self.dir.path().join("console")).expect("the test's own directory");
        let mut process = Command::new(programs::root().join("tests/boot/start"))
            .arg(machine_root())
            .arg(self.dir.path())
            .arg(&self.group)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor can be copied"))
            .stderr(log)
            .spawn()
            .expect("tests/boot/start can be started");
        let console = self.dir.path().join("console");
        let init = wait::for_some("systemd begins", 60, || {
            if let Ok(Some(status)) = process.try_wait() {
                panic!("the machine ended with {status}: {}", fs::read_to_string(&console).unwrap_or_default());
            }
            init_of(process.id())
        });
        self.on = Some(On { process, init });
        wait::until("all units have started", 120, || {
            let state = text(&self.run(&["systemctl", "is-system-running"]));
            ["running", "degraded"].contains(&state.trim())
        });
    }

    /// Pulls the plug.
    ///
    /// # Panics
    /// If it is off.
    pub fn pull_the_plug(&mut self) {
        let mut on = self.on.take().expect("it is on");
        // Its process 1 takes all others with it.
        kill(on.init, Signal::SIGKILL).expect("it runs");
        on.process.wait().expect("it is a child");
    }

    /// Runs a program in it.
    ///
    /// # Panics
    /// If the machine is off.
    #[must_use]
    pub fn run(&self, command: &[&str]) -> Output {
        let init = self.on.as_ref().expect("it is on").init.to_string();
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &init, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]);
        inside.args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]).args(command);
        inside.stdin(Stdio::null()).output().expect("`nsenter` runs")
    }

    /// Runs a program that has to succeed; what it printed on standard output, without the line's end.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn ok(&self, command: &[&str]) -> String {
        let output = self.run(command);
        assert!(output.status.success(), "{command:?}: {}\n{}", text(&output), self.journal());
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Runs a line of shell that has to succeed.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        self.ok(&["sh", "-euc", line])
    }

    /// A property of a unit.
    #[track_caller]
    #[must_use]
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.ok(&["systemctl", "show", "--value", "--property", name, unit])
    }

    /// The process of a service; 0 if it has none.
    #[track_caller]
    #[must_use]
    pub fn process_of(&self, unit: &str) -> u32 {
        self.property(unit, "MainPID").parse().expect("a number")
    }

    /// The hub's part of the journal.
    #[must_use]
    pub fn journal(&self) -> String {
        text(&self.run(&["journalctl", "--no-pager", "--output=short-monotonic", "--unit=selena*", "--lines=200"]))
    }

    /// Lays a file into the machine.
    ///
    /// # Panics
    /// If that fails.
    pub fn put(&self, file: &Path, at: &str) {
        let init = self.on.as_ref().expect("it is on").init;
        let place = PathBuf::from(format!("/proc/{init}/root{at}"));
        fs::copy(file, place).expect("it can be copied");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.on.is_some() {
            self.pull_the_plug();
        }
        let hierarchies = fs::read_dir(CONTROL_GROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
        for hierarchy in hierarchies.chain([PathBuf::from(CONTROL_GROUPS)]) {
            remove_group(&hierarchy.join(&self.group));
        }
    }
}

/// The child of `unshare` that has become systemd.
fn init_of(unshare: u32) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).ok()?;
    let child = children.split_whitespace().next()?;
    let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
    (name.trim() == "systemd").then(|| Pid::from_raw(child.parse().expect("a number")))
}

/// Control groups are removed from the leaves on; their files cannot be.
fn remove_group(group: &Path) {
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&below.path());
        }
    }
    let _still_used_or_not_there = fs::remove_dir(group);
}
