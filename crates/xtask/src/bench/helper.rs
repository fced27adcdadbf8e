//! The other processes of the benchmark: this program again, in another role.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Subcommand;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    runtime::{Builder, Runtime},
};

use super::{
    Options,
    control::Doors,
    flood::{self, Flood},
    mqtt, ping,
    programs::InContainer,
    receiver, run, server,
};

/// The roles. Nobody but the benchmark starts them.
#[derive(Debug, Subcommand)]
pub(crate) enum Helper {
    /// Measures.
    #[command(name = "__bench-run", hide = true)]
    Run {
        /// Root of the project.
        #[arg(long)]
        root: PathBuf,
        /// The hub's program.
        #[arg(long)]
        hub: PathBuf,
        /// The hub's init for containers.
        #[arg(long, requires = "module")]
        init: Option<PathBuf>,
        /// A module's program, for containers too.
        #[arg(long, requires = "sandbox")]
        module: Option<PathBuf>,
        /// The sandbox's program.
        #[arg(long, requires = "init")]
        sandbox: Option<PathBuf>,
        #[command(flatten)]
        options: Options,
    },
    /// Answers a file's bytes.
    #[command(name = "__bare-server", hide = true)]
    BareServer {
        /// The file.
        #[arg(long)]
        body: PathBuf,
    },
    /// Receives webhooks.
    #[command(name = "__receiver", hide = true)]
    Receiver {
        /// On how many ports.
        #[arg(long)]
        ports: usize,
    },
    /// Sends signed requests one after the other.
    #[command(name = "__ping", hide = true)]
    Ping {
        /// Where to.
        #[arg(long)]
        port: u16,
        /// For how long.
        #[arg(long)]
        millis: u64,
    },
    /// Asks more than it may.
    #[command(name = "__flood", hide = true)]
    Flood(Flood),
    /// Subscribes to a broker.
    #[command(name = "__mqtt-receiver", hide = true)]
    MqttReceiver {
        /// The broker's port.
        #[arg(long)]
        broker: u16,
        /// How many subscribers.
        #[arg(long)]
        count: usize,
    },
}

impl Helper {
    /// Plays the role.
    ///
    /// # Errors
    /// If it cannot, or an answer was wrong.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Run { root, hub, init, module, sandbox, options } => {
                let inside = init.zip(module).zip(sandbox);
                let inside = inside.map(|((init, module), sandbox)| InContainer { init, module, sandbox });
                one_thread()?.block_on(run::run(&root, &hub, inside.as_ref(), &options))
            }
            // What the hub is compared with has as many threads as the hub.
            Self::BareServer { body } => as_the_hub()?.block_on(server::run(&body)),
            Self::Ping { port, millis } => as_the_hub()?.block_on(ping::run(port, Duration::from_millis(millis))),
            Self::Receiver { ports } => one_thread()?.block_on(receiver::run(ports)),
            Self::Flood(flood) => one_thread()?.block_on(flood::run(flood)),
            Self::MqttReceiver { broker, count } => one_thread()?.block_on(mqtt::run(broker, count)),
        }
    }
}

fn one_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn as_the_hub() -> io::Result<Runtime> {
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4));
    Builder::new_multi_thread().worker_threads(workers).enable_all().build()
}

/// Writes a line to standard output, at once.
pub(super) fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// A running role; ends with this value.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program in a role.
    pub(super) fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {arguments:?}"))?;
        let output = BufReader::new(child.stdout.take().context("its output is piped")?);
        Ok(Self { child, output })
    }

    /// Its next line.
    pub(super) async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).await?;
        ensure!(line.ends_with('\n'), "a process of the benchmark ended before it said what it had to");
        Ok(line.trim_end().to_owned())
    }

    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the process has ended")
    }

    /// All it says until it ends, which has to be well.
    pub(super) async fn rest(mut self) -> anyhow::Result<String> {
        let mut text = String::new();
        self.output.read_to_string(&mut text).await?;
        let status = self.child.wait().await?;
        ensure!(status.success(), "a process of the benchmark failed: {status}");
        Ok(text)
    }
}

/// A receiving process, and where it is reached.
#[derive(Debug)]
pub(super) struct Receivers {
    pub(super) doors: Doors,
    _process: Process,
}

impl Receivers {
    /// Starts this program in a receiving role.
    pub(super) async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut process = Process::start(arguments)?;
        let doors = serde_json::from_str(&process.line().await?).context("the receiver did not say where it is")?;
        Ok(Self { doors, _process: process })
    }
}

/// The port of a line `listening on 127.0.0.1:PORT`.
pub(super) fn port(line: &str) -> anyhow::Result<u16> {
    let port = line.trim_end().strip_prefix("listening on 127.0.0.1:").and_then(|port| port.parse().ok());
    port.with_context(|| format!("`{line}` does not say on which port the program listens"))
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn the_port_is_read_from_the_first_line() {
        assert_eq!(port("listening on 127.0.0.1:7070\n").unwrap(), 7070);
        assert!(port("").is_err() && port("listening on 127.0.0.1:x").is_err());
    }
}
