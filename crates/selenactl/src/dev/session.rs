//! The loop: build, run, watch over it, again.

use std::{
    os::unix::process::ExitStatusExt,
    pin::pin,
    process::ExitStatus,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    DevError, Interrupts, Planner, Watch,
    hub::healthy,
    plan::Plan,
    process::{Doing, Process},
};
use crate::{error::CtlError, screen::Screen, visible::visible};

/// How long a module may take to end by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How long a hub waits for `/health` (protocol, section 2, step 8).
const HEALTH_PATIENCE: Duration = Duration::from_secs(30);

/// Everything that can happen to a module that is being made.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) planner: Planner,
    pub(super) watch: Watch,
    pub(super) interrupts: Interrupts,
    pub(super) screen: &'a mut Screen,
}

/// How a program's turn was over.
#[derive(Debug)]
enum Turn {
    /// It ended by itself.
    Ended(ExitStatus),
    /// A file changed: it was ended, if it ran.
    Changed,
    /// It was ended, if it ran, since somebody wants all of this to end.
    Interrupted,
}

impl Session<'_> {
    /// Runs the module again and again until somebody wants it to end.
    pub(super) async fn run(mut self) -> Result<(), CtlError> {
        loop {
            let turn = match self.planner.plan() {
                Ok(plan) => self.one_run(plan).await?,
                // It was good before: the author is at it.
                Err(error) => {
                    self.screen.failure(&error);
                    self.wait().await?
                }
            };
            if matches!(turn, Turn::Interrupted) {
                return Ok(());
            }
        }
    }

    /// Builds the module and runs it, until it is to be run again or ended.
    async fn one_run(&mut self, mut plan: Plan) -> Result<Turn, CtlError> {
        if let Some(build) = plan.build.take() {
            self.tell(json!({ "event": "building" }), "* building")?;
            let process = Process::start(build).map_err(DevError::system("start cargo"))?;
            match self.watch_over(process, &plan, false).await? {
                Turn::Ended(status) if status.success() => {}
                Turn::Ended(status) => return self.ended("the build", status).await,
                other => return Ok(other),
            }
        }
        plan.require_port()?;
        let program = plan.run.as_std().get_program().to_string_lossy().into_owned();
        let run = std::mem::replace(&mut plan.run, tokio::process::Command::new(""));
        let process = Process::start(run).map_err(DevError::system(format!("start {program}")))?;
        let started = json!({ "event": "started", "name": plan.name, "port": plan.port });
        self.tell(started, &format!("* {} is started, port {}", plan.name, plan.port))?;
        match self.watch_over(process, &plan, true).await? {
            Turn::Ended(status) => self.ended(&plan.name, status).await,
            other => Ok(other),
        }
    }

    /// Tells how a program ended and waits for a change: run as it is, it would only end again.
    async fn ended(&mut self, who: &str, status: ExitStatus) -> Result<Turn, CtlError> {
        self.tell(
            json!({ "event": "ended", "code": status.code(), "signal": status.signal() }),
            &format!("* {who} ended: {}; it is started again when a file changes", how(status)),
        )?;
        self.wait().await
    }

    async fn wait(&mut self) -> Result<Turn, CtlError> {
        tokio::select! {
            file = self.watch.changed() => self.changed(&file),
            () = self.interrupts.next() => Ok(Turn::Interrupted),
        }
    }

    fn changed(&mut self, file: &str) -> Result<Turn, CtlError> {
        self.tell(json!({ "event": "changed", "file": file }), &format!("* {} changed", visible(file)))?;
        Ok(Turn::Changed)
    }

    /// Passes on what a program prints until its turn is over.
    async fn watch_over(&mut self, mut process: Process, plan: &Plan, is_module: bool) -> Result<Turn, CtlError> {
        let started = Instant::now();
        let mut health = pin!(healthy(plan.port));
        let mut late = pin!(sleep(HEALTH_PATIENCE));
        let (mut is_healthy, mut is_late) = (!is_module, !is_module);
        loop {
            let turn = tokio::select! {
                doing = process.next() => match doing.map_err(DevError::system("wait for a program"))? {
                    Doing::Printed(line) => {
                        self.print(&plan.name, &line)?;
                        continue;
                    }
                    Doing::Ended(status) => return Ok(Turn::Ended(status)),
                },
                () = &mut health, if !is_healthy => {
                    is_healthy = true;
                    let ms = started.elapsed().as_millis();
                    self.tell(json!({ "event": "healthy", "ms": ms }), &format!("* healthy after {ms} ms"))?;
                    continue;
                }
                () = &mut late, if !is_healthy && !is_late => {
                    is_late = true;
                    let line = "* GET /health has no 200 after 30 s: a hub would give up now";
                    self.tell(json!({ "event": "unhealthy" }), line)?;
                    continue;
                }
                file = self.watch.changed() => self.changed(&file)?,
                () = self.interrupts.next() => Turn::Interrupted,
            };
            self.stop(process, plan).await?;
            return Ok(turn);
        }
    }

    /// Asks a program to end, and makes it end if it does not.
    async fn stop(&mut self, mut process: Process, plan: &Plan) -> Result<(), CtlError> {
        process.signal(Signal::SIGTERM);
        let mut patience = pin!(sleep(STOP_PATIENCE));
        let mut killed = false;
        loop {
            tokio::select! {
                doing = process.next() => match doing.map_err(DevError::system("wait for a program"))? {
                    Doing::Printed(line) => self.print(&plan.name, &line)?,
                    Doing::Ended(status) => {
                        let stopped = json!({ "event": "stopped", "code": status.code(), "signal": status.signal() });
                        return self.tell(stopped, &format!("* {} is stopped: {}", plan.name, how(status)));
                    }
                },
                () = &mut patience, if !killed => killed = true,
                // Who asks twice does not want to wait.
                () = self.interrupts.next(), if !killed => killed = true,
            }
            if killed {
                process.signal(Signal::SIGKILL);
            }
        }
    }

    fn print(&mut self, name: &str, line: &super::process::Line) -> Result<(), CtlError> {
        let (stream, mark) = if line.is_error { ("stderr", '!') } else { ("stdout", '|') };
        let event = json!({ "event": "output", "stream": stream, "line": line.text });
        self.tell(event, &format!("{name} {mark} {}", line.text))
    }

    fn tell(&mut self, event: Value, line: &str) -> Result<(), CtlError> {
        Ok(self.screen.one_of_many(&event, line)?)
    }
}

/// How a program ended, in words.
fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal().map(Signal::try_from)) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(Ok(signal))) => format!("killed by {signal}"),
        (None, _) => status.to_string(),
    }
}
