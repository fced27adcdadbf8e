//! A hub, started as a module author would start it.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use nix::{
    fcntl::{PosixFadviseAdvice, posix_fadvise},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::UnixStream,
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{event, helper, http::Connection};

/// The development token.
pub(super) const TOKEN: &str = "a-development-token-for-the-benchmark";
/// How long a hub may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A hub that runs; killed if it is not stopped.
#[derive(Debug)]
pub(super) struct Hub {
    child: Child,
    /// Kept open, so that the hub can write to it.
    _output: BufReader<ChildStdout>,
    pid: u32,
    admin_socket: PathBuf,
    pub(super) port: u16,
    /// From before the process was made to the first answer of `/health`.
    pub(super) ready: Duration,
}

impl Hub {
    /// Starts a hub on a data directory, and waits until it answers.
    pub(super) async fn start(program: &Path, data: &Path) -> anyhow::Result<Self> {
        Self::start_with(program, data, &[]).await
    }

    /// Starts a hub that limits requests as the protocol says.
    pub(super) async fn start_limited(program: &Path, data: &Path) -> anyhow::Result<Self> {
        Self::launch(program, data, &[]).await
    }

    /// Starts a hub with further arguments.
    pub(super) async fn start_with(program: &Path, data: &Path, more: &[OsString]) -> anyhow::Result<Self> {
        let mut arguments = vec!["--no-rate-limit".into()];
        arguments.extend_from_slice(more);
        Self::launch(program, data, &arguments).await
    }

    async fn launch(program: &Path, data: &Path, more: &[OsString]) -> anyhow::Result<Self> {
        fs::create_dir_all(data)?;
        let log_path = data.with_extension("log");
        let mut command = Command::new(program);
        command
            .args(["--dev", "--listen", "127.0.0.1:0", "--name-prefix"])
            .arg(format!("bench-{}-", std::process::id()))
            .arg("--data-dir")
            .arg(data)
            .args(more)
            .env("DEV_MODULE_TOKEN", TOKEN)
            .env("SELENA_WEBHOOK_SECRET", event::SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log_path)?)
            .kill_on_drop(true);
        if let Some(socket) = std::env::var_os("SELENA_DOCKER_SOCKET") {
            command.arg("--docker-socket").arg(socket);
        }
        let begun = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let mut output = BufReader::new(child.stdout.take().context("its output is piped")?);
        let mut line = String::new();
        timeout(PATIENCE, output.read_line(&mut line)).await.context("the hub says nothing")??;
        let port = helper::port(&line).with_context(|| log(&log_path))?;
        Connection::open(port).await?.get("/api/v1/health", TOKEN).await?;
        let ready = begun.elapsed();
        let pid = child.id().context("the hub has ended")?;
        Ok(Self { child, _output: output, pid, admin_socket: data.join("run/admin.sock"), port, ready })
    }

    /// A connection as a person, whom no limit of requests holds up.
    pub(super) async fn connect_as_person(&self) -> anyhow::Result<Connection<UnixStream>> {
        Connection::open_unix(&self.admin_socket).await
    }

    /// A connection to its API.
    pub(super) async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.port).await
    }

    pub(super) fn pss_mb(&self) -> anyhow::Result<f64> {
        pss_mb(self.pid)
    }

    /// A line of `/proc/PID/status` in MiB: `VmRSS:` is what it holds, `VmHWM:` the most it ever held.
    pub(super) fn resident_mib(&self, line: &str) -> anyhow::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let found =
            text.lines().find_map(|found| found.strip_prefix(line)).with_context(|| format!("no line `{line}`"))?;
        let kibibytes: f64 = found.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes / 1024.0)
    }

    /// The processor time it used so far.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        cpu(&stat).context("/proc/PID/stat is not as expected")
    }

    /// Ends it as an operator would, and checks that it ends well.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.pid)?), Signal::SIGTERM)?;
        let status = timeout(PATIENCE, self.child.wait()).await.context("the hub does not end")??;
        ensure!(status.success(), "the hub ended with {status}");
        Ok(())
    }
}

/// A copy of the hub's program for one hub: pages of a file that another process maps too count half.
/// It is read from the disk again, as after a boot: the kernel maps a file that was just written in larger pieces.
pub(super) fn own_program(program: &Path, dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let copy = dir.join(name);
    fs::copy(program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;
    let written = File::open(&copy)?;
    written.sync_all()?;
    posix_fadvise(&written, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(copy)
}

/// The proportional set size of a process in MB (10^6 bytes).
pub(super) fn pss_mb(pid: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no line `Pss:`")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024.0 / 1e6)
}

/// User and system time of a line of `/proc/PID/stat`, whose ticks are hundredths of a second on every Linux we build for.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut ticks = after_name.split(' ').skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some(Duration::from_millis((user + system) * 10))
}

fn log(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    format!("the hub did not start; its log:\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 5 0 100 1 1";
        assert_eq!(cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu("7"), None);
    }

    #[test]
    fn our_own_memory_is_told() {
        assert!(pss_mb(std::process::id()).unwrap() > 0.1);
    }
}
