//! A program in a process group of its own, and the lines it prints.

use std::{io, process::ExitStatus, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::timeout,
};

/// Longest line in bytes; a longer one is cut into several.
const MAX_LINE_BYTES: u64 = 16 << 10;
/// How long output is waited for whose program has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A line that a program printed.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) is_error: bool,
    pub(super) text: String,
}

/// What a program did.
#[derive(Debug)]
pub(super) enum Doing {
    Printed(Line),
    Ended(ExitStatus),
}

/// A running program with all that it starts.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    lines: mpsc::Receiver<Line>,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts a program. Ctrl-C in the terminal reaches us and not it.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let (sender, lines) = mpsc::channel(64);
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(read(stdout, false, sender.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(read(stderr, true, sender));
        }
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self { child, group, lines, ended: None })
    }

    /// What it does next; the last is its end. Nothing is lost if this is not waited for to its end.
    pub(super) async fn next(&mut self) -> io::Result<Doing> {
        loop {
            if let Some(status) = self.ended {
                let line = timeout(LAST_WORDS, self.lines.recv()).await;
                return Ok(line.ok().flatten().map_or(Doing::Ended(status), Doing::Printed));
            }
            tokio::select! {
                biased;
                Some(line) = self.lines.recv() => return Ok(Doing::Printed(line)),
                status = self.child.wait() => {
                    self.ended = Some(status?);
                    // What it left running would hold its port and its output.
                    self.signal(Signal::SIGKILL);
                }
            }
        }
    }

    /// Sends a signal to the program and to all it started.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Nobody is left to be told.
            let _ = killpg(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.signal(Signal::SIGKILL);
        }
    }
}

async fn read(pipe: impl AsyncRead + Unpin, is_error: bool, lines: mpsc::Sender<Line>) {
    let mut reader = BufReader::new(pipe);
    loop {
        let mut bytes = Vec::new();
        match (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        if lines.send(Line { is_error, text }).await.is_err() {
            return;
        }
    }
}
