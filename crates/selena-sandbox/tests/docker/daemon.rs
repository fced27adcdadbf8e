//! A Docker of the test's own, which may be killed.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

pub(crate) struct Daemon {
    dir: PathBuf,
    process: Child,
}

impl Daemon {
    /// Starts a daemon with all that it has below `dir`; it answers later.
    pub(crate) fn start(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), process: spawn(dir) }
    }

    pub(crate) fn socket(dir: &Path) -> PathBuf {
        dir.join("docker.sock")
    }

    /// Kills the daemon as a crash would, and starts it again.
    pub(crate) fn crash_and_restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(&self.dir);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

fn spawn(dir: &Path) -> Child {
    let log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
    let below = |name: &str| dir.join(name).into_os_string();
    Command::new("dockerd")
        .args(["--bridge=none", "--iptables=false", "--containerd-namespace=selena-test"])
        .arg("--containerd-plugins-namespace=selena-test-plugins")
        .args(["--data-root".into(), below("data"), "--exec-root".into(), below("exec")])
        .args([
            "--pidfile".into(),
            below("pid"),
            "--host".into(),
            format!("unix://{}", dir.join("docker.sock").display()).into(),
        ])
        .stdout(Stdio::from(log.try_clone().unwrap()))
        .stderr(Stdio::from(log))
        .spawn()
        .expect("this test needs `dockerd`")
}
