//! The integrity agent: how fast it hashes beside openssl, and what it holds while it waits.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::process::Command;

use super::{Pace, hub::pss_mb, numbers, programs, table::Row};

/// Share of openssl's rate that is to be reached.
const RATE_GOAL: f64 = 0.9;
const MEMORY_GOAL_MB: f64 = 5.0;
/// What is hashed: much longer than the start of the program takes.
const FILE_BYTES: u64 = 1 << 30;
/// How long the agent may take to its first check.
const PATIENCE: Duration = Duration::from_secs(30);

/// An agent with one large file to watch.
struct Agent {
    program: PathBuf,
    dir: PathBuf,
}

/// The rows. The agent is built here, since no other row needs it.
pub(super) async fn rows(root: &Path, dir: &Path, pace: Pace) -> anyhow::Result<Vec<Row>> {
    let agent = Agent { program: programs::build(root, "selena-agent")?, dir: dir.join("agent") };
    agent.record()?;
    agent.done(&["baseline", agent.path("watched")?.as_str()]).await?;
    let rows = vec![agent.hashing(pace).await?, agent.memory(pace).await?];
    fs::remove_dir_all(&agent.dir)?;
    Ok(rows)
}

impl Agent {
    /// A file of random bytes, and the directories beside it.
    fn record(&self) -> anyhow::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        fs::create_dir(&self.dir)?;
        for name in ["secure", "data", "watched"] {
            fs::DirBuilder::new().mode(0o700).create(self.dir.join(name))?;
        }
        let mut file = File::create(self.dir.join("watched/large"))?;
        std::io::copy(&mut File::open("/dev/urandom")?.take(FILE_BYTES), &mut file)?;
        Ok(file.flush()?)
    }

    fn path(&self, name: &str) -> anyhow::Result<String> {
        self.dir.join(name).to_str().map(str::to_owned).context("a path that is no text")
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.program);
        let places = [("--secure-dir", "secure"), ("--data-dir", "data"), ("--signing-key", "keys/agent.key")];
        for (option, name) in places {
            command.args([option, &self.path(name)?]);
        }
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    async fn done(&self, arguments: &[&str]) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let status = self.command(arguments)?.status().await?;
        ensure!(status.success(), "selena-agent {arguments:?} ended with {status}");
        Ok(begun.elapsed())
    }

    async fn hashing(&self, pace: Pace) -> anyhow::Result<Row> {
        let (mut ours, mut peer) = (Vec::new(), Vec::new());
        for _ in 0..pace.slices {
            ours.push(numbers::float(FILE_BYTES) / 1e9 / self.done(&["check"]).await?.as_secs_f64());
            peer.push(openssl().await?);
        }
        let (ours, peer) = (numbers::median(ours), numbers::median(peer));
        Ok(Row {
            what: "integrity agent: a check of 1 GiB in the page cache".to_owned(),
            ours: format!("{ours:.2} GB/s, a second thread reads ahead"),
            peer: format!("`openssl speed -evp sha256`, no reading: {peer:.2} GB/s"),
            ratio: Some(ours / peer),
            goal: "≥ 90 % of openssl",
            reached: Some(ours >= RATE_GOAL * peer),
            figures: [("ours_gb_per_sec", ours), ("openssl_gb_per_sec", peer)].into(),
        })
    }

    async fn memory(&self, pace: Pace) -> anyhow::Result<Row> {
        // A label that no container has.
        let agent = self.command(&["run", "--container-label", "selena-bench.none"])?.spawn()?;
        let pid = agent.id().context("the agent ended")?;
        let begun = Instant::now();
        while !self.dir.join("data/integrity.json").exists() {
            ensure!(begun.elapsed() < PATIENCE, "the agent did not check within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // This wait is what is measured: what the program gives back after its check.
        tokio::time::sleep(pace.idle).await;
        let ours = pss_mb(pid)?;
        Ok(Row {
            what: "integrity agent: memory (PSS) between two checks".to_owned(),
            ours: format!("{ours:.1} MB"),
            goal: "≤ 5 MB",
            reached: Some(ours <= MEMORY_GOAL_MB),
            figures: [("ours_mb", ours)].into(),
            ..Row::default()
        })
    }
}

/// What openssl makes of SHA-256 in a second, in GB/s.
async fn openssl() -> anyhow::Result<f64> {
    // By the clock, as ours: without `-elapsed` it counts its own processor time, which a loaded machine does not slow.
    let arguments = ["speed", "-elapsed", "-mr", "-seconds", "1", "-bytes", "16384", "-evp", "sha256"];
    let output = Command::new("openssl").args(arguments).output().await.context("`openssl` is not installed")?;
    rate(&String::from_utf8_lossy(&output.stdout)).context("`openssl speed` did not say a rate")
}

/// The rate of a line such as `+F:22:sha256:2093162850.00`.
fn rate(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("+F:"))?;
    Some(line.rsplit(':').next()?.parse::<f64>().ok()? / 1e9)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_rate_of_openssl_is_read() {
        assert_eq!(super::rate("+H:16384\n+F:4:sha256:2093162850.00\n"), Some(2.093_162_85));
        assert_eq!(super::rate("+H:16384\n"), None);
    }
}
