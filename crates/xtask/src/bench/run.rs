//! The run: one hub lives through most rows, so that its memory afterwards is that of a hub that worked.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Options, Pace, Part, devices, floods,
    hub::{Hub, own_program},
    install, integrity,
    machine::Machine,
    memory, neighbours, packages, patch,
    programs::InContainer,
    ready,
    table::{Row, Table},
    ten, token_timing, webhooks,
};

/// What is said below the table; its lines are not of this run.
const DATED: &str = "An earlier core of this protocol, in Python, measured before this one was begun: GET of 100 devices 159/s, \
p99 170 ms; PATCH, not durable, 170/s, p99 1.35 s; publish → webhook p50 24 ms; ten subscribers together 41/s.";

/// Measures what was asked for, and prints the table.
///
/// # Errors
/// If an answer was wrong, or something could not be started.
pub(super) async fn run(
    root: &Path,
    program: &Path,
    inside: Option<&InContainer>,
    options: &Options,
) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // What was started ends with the future that holds it, also when this is interrupted.
    tokio::select! {
        outcome = measure(root, program, inside, options) => outcome,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to end"),
    }
}

async fn measure(root: &Path, program: &Path, inside: Option<&InContainer>, options: &Options) -> anyhow::Result<()> {
    // Beside the program, on the disk that was built on: /tmp may be memory, where nothing is durable.
    let place = program.parent().context("the hub's program lies nowhere")?;
    let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(place)?;
    let mut machine = Machine::look(root, dir.path());
    let bench = Bench { root, program, inside, dir: dir.path(), options, pace: options.pace() };
    let table = Table(bench.rows().await?);
    machine.look_after();
    let slices = if bench.pace.slices == 1 {
        format!("one slice of {:?}", bench.pace.slice)
    } else {
        format!("{} slices of {:?}", bench.pace.slices, bench.pace.slice)
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{table}\n{machine}- {}\n", commands(options))?;
    writeln!(
        out,
        "Hub, clients and receivers share the {} cores; ours and the peer are measured in turns and each rate is the median \
         of {}.\n\"CPU\" is the hub's processor time for one request or one delivery.\n{DATED}",
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        slices,
    )?;
    if let Some(file) = &options.json {
        let all = json!({ "machine": machine, "rows": table, "quick": options.quick });
        fs::write(file, serde_json::to_string_pretty(&all)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// What was run, so that another can run it too.
fn commands(options: &Options) -> String {
    let flags = std::env::args().skip_while(|argument| argument != "--hub").skip(2).collect::<Vec<_>>().join(" ");
    let quick = if options.quick { ", too short to learn numbers from" } else { "" };
    format!(
        "`cargo xtask bench {flags}`{quick}; hub: `selenad --dev --data-dir DIR --listen 127.0.0.1:0 --no-rate-limit \
         --name-prefix bench-…`, built with `cargo build --release -p selenad`; \
         without `--no-rate-limit` where it is flooded"
    )
}

struct Bench<'a> {
    root: &'a Path,
    program: &'a Path,
    inside: Option<&'a InContainer>,
    dir: &'a Path,
    options: &'a Options,
    pace: Pace,
}

impl Bench<'_> {
    async fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        let nothing = self.file("nothing.json", b"{}")?;
        if self.options.wants(Part::Ready) {
            self.tell("time to ready");
            let program = own_program(self.program, self.dir, "selenad-starts")?;
            rows.extend(ready::rows(&program, self.dir, &nothing, self.pace).await?);
        }
        let hub = Hub::start(&own_program(self.program, self.dir, "selenad")?, &self.dir.join("hub")).await?;
        if self.options.wants(Part::Memory) {
            self.tell("idle memory");
            rows.push(memory::idle(&hub, &nothing, self.pace.idle).await?);
        }
        devices::register(&hub).await?;
        rows.extend(self.loads(&hub).await?);
        if self.options.wants(Part::Memory) {
            rows.push(memory::after(&hub)?);
        }
        hub.stop().await?;
        if self.options.wants(Part::Integrity) {
            self.tell("the integrity agent");
            rows.extend(integrity::rows(self.root, self.dir, self.pace).await?);
        }
        rows.extend(self.strangers().await?);
        Ok(rows)
    }

    /// Rows of floods and packages; each has a hub of its own.
    async fn strangers(&self) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        if self.options.wants(Part::Floods) {
            self.tell("floods");
            let program = own_program(self.program, self.dir, "selenad-floods")?;
            rows.extend(floods::rows(&program, self.dir, self.pace).await?);
            rows.push(token_timing::row()?);
        }
        if self.options.wants(Part::Packages) {
            self.tell("packages that are refused");
            let program = own_program(self.program, self.dir, "selenad-packages")?;
            rows.extend(packages::rows(&program, self.dir, self.pace).await?);
        }
        let Some(inside) = self.inside else { return Ok(rows) };
        if self.options.wants(Part::Install) {
            self.tell("installing a module");
            let program = own_program(self.program, self.dir, "selenad-install")?;
            rows.push(install::row(&program, self.dir, inside, self.pace).await?);
        }
        if self.options.wants(Part::Crowd) {
            self.tell("fifty modules");
            let program = own_program(self.program, self.dir, "selenad-crowd")?;
            rows.extend(neighbours::crowd_rows(&program, self.dir, inside, self.pace).await?);
        }
        if self.options.wants(Part::Spin) {
            self.tell("a module at all its limits");
            let program = own_program(self.program, self.dir, "selenad-spin")?;
            rows.extend(neighbours::spin_rows(&program, self.dir, inside, self.pace).await?);
        }
        Ok(rows)
    }

    async fn loads(&self, hub: &Hub) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        if self.options.wants(Part::Get) {
            self.tell("GET /devices");
            rows.push(devices::row(hub, self.dir, self.pace).await?);
        }
        if self.options.wants(Part::Patch) {
            self.tell("PATCH state");
            let program = own_program(self.program, self.dir, "selenad-large")?;
            rows.extend(patch::rows(hub, &program, self.dir, self.pace).await?);
        }
        if self.options.wants(Part::Latency) {
            self.tell("publish to webhook");
            rows.push(webhooks::latency_row(hub, self.dir, self.pace).await?);
        }
        if self.options.wants(Part::One) {
            self.tell("one subscriber");
            rows.push(webhooks::one_row(hub, self.pace).await?);
        }
        if self.options.wants(Part::Ten) {
            self.tell("ten subscribers");
            rows.push(ten::row(hub, self.dir, self.pace).await?);
        }
        Ok(rows)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.dir.join(name);
        fs::write(&path, bytes)?;
        Ok(path)
    }

    /// Says on standard error what is measured now; the table alone is on standard output.
    fn tell(&self, what: &str) {
        let _nobody_listens = writeln!(io::stderr(), "measuring: {what}");
    }
}
