//! The processes of a hub: one for all, or a core without any right beside a sandbox.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{Options, programs, start::PATH, wait};

/// The user and group of the core in two processes: nobody of the system, nor of the modules.
pub const CORE_USER: u32 = 3_900_001;

/// What runs of a hub.
#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) core: Child,
    pub(crate) sandbox: Option<Child>,
}

impl Processes {
    /// Kills all of it, as a power cut would.
    pub(crate) fn kill(&mut self) {
        for process in self.sandbox.iter_mut().chain([&mut self.core]) {
            kill(process);
        }
    }
}

/// Kills a process, and waits until it is gone. Fine if it is.
pub(crate) fn kill(process: &mut Child) {
    process.kill().expect("a process of the test can be killed");
    process.wait().expect("a killed process ends");
}

/// The core's data directory, which it owns; the way there is open to it, and what is beside it is not.
pub(crate) fn make_room(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o711)).expect("the test's own directory");
    let data = dir.join("data");
    fs::create_dir_all(&data).expect("the test's own directory");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("the test's own directory");
    chown(&data, Some(CORE_USER), Some(CORE_USER)).expect("root can give it away");
    // The checkout may lie where another user has no way to.
    let program = program(dir);
    if !program.exists() {
        let linked = fs::hard_link(programs::selenad(), &program);
        linked.or_else(|_other_disk| fs::copy(programs::selenad(), &program).map(|_| ())).expect("the program");
    }
}

fn program(dir: &Path) -> PathBuf {
    dir.join("selenad")
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("run/sandbox.sock")
}

/// A file that the core has to read, where it can.
pub(crate) fn readable(options: &Options, file: &Path, dir: &Path) -> PathBuf {
    if !options.two_processes {
        return file.to_owned();
    }
    let copy = dir.join("authority.pem");
    fs::copy(file, &copy).expect("a file of the test");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).expect("a file of the test");
    copy
}

/// Begins a command line that runs as a user and a group without any capability, who can get none.
#[must_use]
pub fn unprivileged(user: u32, group: u32) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--"]);
    command
}

/// The core, unprivileged.
pub(crate) fn unprivileged_core(options: &Options, dir: &Path) -> Command {
    let mut command = unprivileged(CORE_USER, CORE_USER);
    command.arg(program(dir)).arg("--dev").arg("--sandbox-socket").arg(socket(dir));
    // It must not use it, and could not.
    command.arg("--docker-socket").arg(options.engine.socket());
    command
}

/// Starts the sandbox as root, and waits until it listens.
pub(crate) fn spawn_sandbox(options: &Options, dir: &Path, prefix: &str) -> Child {
    let log_path = dir.join("sandbox-log");
    let log = OpenOptions::new().create(true).append(true).open(&log_path).expect("the log can be written");
    let begun = fs::metadata(&log_path).map_or(0, |log| log.len());
    let mut process = Command::new(programs::sandbox())
        .args(["--dev", "--name-prefix", prefix, "--core-user", &CORE_USER.to_string()])
        .arg("--data-dir")
        .arg(dir.join("data"))
        .arg("--sandbox-dir")
        .arg(dir.join("sandbox"))
        .arg("--socket")
        .arg(socket(dir))
        .arg("--docker-socket")
        .arg(options.engine.socket())
        .arg("--init")
        .arg(programs::init())
        .args(options.sysfs.iter().flat_map(|sysfs| [OsStr::new("--sysfs"), sysfs.as_os_str()]))
        .env_clear()
        .env("PATH", PATH)
        .env("CORE_LOG_LEVEL", options.log_level)
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the sandbox's program can be started");
    wait::until("the sandbox serves", 20, || {
        let said = fs::read(&log_path).unwrap_or_default();
        let said =
            String::from_utf8_lossy(said.get(usize::try_from(begun).unwrap_or(0)..).unwrap_or_default()).into_owned();
        if let Ok(Some(status)) = process.try_wait() {
            panic!("the sandbox ended with {status}:\n{said}");
        }
        said.contains("the sandbox serves")
    });
    process
}
