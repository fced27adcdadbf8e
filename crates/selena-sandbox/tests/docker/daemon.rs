//! A Docker of the test's own, which may be killed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use nix::{
    mount::{MntFlags, umount2},
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

    /// Kills the daemon as a crash would, and starts it again. The containers live on until then.
    pub(crate) fn crash_and_restart(&mut self) {
        let containerd = fs::read_to_string(self.dir.join("exec/containerd/containerd.pid")).unwrap();
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        // Its containerd dies with it, a moment later; a new daemon would take the old one for alive, and give up.
        while Path::new("/proc").join(containerd.trim()).exists() {
            thread::yield_now();
        }
        self.process = spawn(&self.dir);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let _ = self.process.wait();
        // It mounts its data directory over itself, and leaves it so.
        let _ = umount2(&self.dir.join("data"), MntFlags::MNT_DETACH);
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
