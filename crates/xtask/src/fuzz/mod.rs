//! `cargo xtask fuzz`: coverage-guided fuzzing of what strangers send, and a second reader of the same archives.
//!
//! Each target of `crates/fuzz` runs for a while from seeds that are made by code; libFuzzer keeps what it finds in
//! `target/fuzz/corpus`, where the next run goes on. Then Python's `zipfile` reads what we take. The toolchain is the
//! pinned stable one: coverage needs a pass of LLVM that it has, and no sanitizer, since our crates have no `unsafe`.

mod build;
mod differential;
mod finding;
mod log;
mod table;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Mutex,
    thread,
};

use anyhow::Context;
use clap::Args;

use build::Built;
use table::{Row, Table};

/// The targets: programs of `crates/fuzz/Cargo.toml`, whose seeds its `seeds` writes.
const TARGETS: &[&str] = &["zip", "zip-forged", "manifest", "image"];
/// Most memory of a target in MiB; what the parsers hold is far below.
const MEMORY_MIB: u32 = 512;
/// What one input may take in seconds.
const INPUT_SECS: u32 = 5;

/// What to fuzz, and for how long.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only these targets.
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = clap::builder::PossibleValuesParser::new(TARGETS))]
    target: Vec<String>,
    /// Only compare with Python's zipfile; nothing is fuzzed.
    #[arg(long, conflicts_with = "target")]
    differential: bool,
    /// How many archives are made up for the comparison.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    archives: u32,
    /// Where chance begins, for the targets and the archives: the same seed begins with the same inputs.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    seed: u32,
}

/// Where a run keeps its files.
#[derive(Clone, Debug)]
struct Places {
    /// What earlier runs found; the next goes on from it.
    corpus: PathBuf,
    /// What every run begins with.
    seeds: PathBuf,
    /// Inputs that broke a rule.
    findings: PathBuf,
    /// What the targets say.
    logs: PathBuf,
}

/// Builds the targets, runs them and the comparison, and prints a table.
///
/// # Errors
/// If something cannot be built or started. A finding is no error but a failure.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<ExitCode> {
    let built = build::all(root)?;
    let places = Places::make(&root.join("target/fuzz"))?;
    built.run("seeds", &places.seeds)?;
    // What targets unpack lies in memory if there is a file system in it, and goes when this ends.
    let memory = [PathBuf::from("/dev/shm"), std::env::temp_dir()].into_iter().find(|dir| dir.is_dir());
    let scratch =
        tempfile::Builder::new().prefix("selena-fuzz-").tempdir_in(memory.context("no temporary directory")?)?;
    let rows = if options.differential { Vec::new() } else { fuzz(&built, &places, scratch.path(), options)? };
    let mut out = io::stdout().lock();
    if !rows.is_empty() {
        writeln!(out, "{}", Table(&rows))?;
    }
    let mut failures: Vec<_> = rows.iter().filter_map(Row::failure).collect();
    if options.target.is_empty() {
        let compared = differential::run(&built, &places, scratch.path(), options)?;
        writeln!(out, "{}", compared.told)?;
        failures.extend(compared.failure);
    }
    for failure in &failures {
        writeln!(out, "{failure}")?;
    }
    for finding in rows.iter().filter_map(finding::told) {
        writeln!(out, "{}", finding?)?;
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the targets, as many at once as there are cores: each has one thread.
fn fuzz(built: &Built, places: &Places, scratch: &Path, options: &Options) -> anyhow::Result<Vec<Row>> {
    let wanted = |target: &&&str| options.target.is_empty() || options.target.iter().any(|name| name == *target);
    let waiting = Mutex::new(TARGETS.iter().filter(wanted).rev().collect::<Vec<_>>());
    let rows = Mutex::new(Vec::new());
    let work = || -> anyhow::Result<()> {
        loop {
            let next = waiting.lock().ok().and_then(|mut waiting| waiting.pop());
            let Some(target) = next else { return Ok(()) };
            let row = one(built, places, scratch, target, options)?;
            rows.lock().map_err(|_| anyhow::anyhow!("another target's thread panicked"))?.push(row);
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a target's thread panicked"))))
    })?;
    let mut rows = rows.into_inner().map_err(|_| anyhow::anyhow!("a target's thread panicked"))?;
    rows.sort_by_key(|row| TARGETS.iter().position(|target| *target == row.target));
    Ok(rows)
}

fn one(built: &Built, places: &Places, scratch: &Path, target: &str, options: &Options) -> anyhow::Result<Row> {
    let Options { seconds, seed, .. } = options;
    let corpus = places.corpus.join(target);
    fs::create_dir_all(&corpus)?;
    let _nobody_listens = writeln!(io::stderr(), "fuzzing: {target} for {seconds} s with seed {seed}");
    let log_path = places.logs.join(format!("{target}.log"));
    let mut command = Command::new(built.program(target));
    command
        .arg(corpus)
        .arg(places.seeds.join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-seed={seed}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-timeout={INPUT_SECS}"))
        .arg(format!("-artifact_prefix={}/{target}-", places.findings.display()))
        .arg("-print_final_stats=1")
        .env("TMPDIR", scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log_path)?);
    let words = places.seeds.join(format!("{target}.dict"));
    if words.exists() {
        command.arg(format!("-dict={}", words.display()));
    }
    let status = command.status().with_context(|| format!("cannot start the target {target}"))?;
    let said = fs::read(&log_path)?;
    Ok(Row { target: target.to_owned(), ran: log::read(&String::from_utf8_lossy(&said)), status, log: log_path })
}

impl Places {
    fn make(below: &Path) -> anyhow::Result<Self> {
        let directory = |name: &str| {
            let path = below.join(name);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
            anyhow::Ok(path)
        };
        let _none_yet = fs::remove_dir_all(below.join("seeds"));
        let (corpus, seeds) = (directory("corpus")?, directory("seeds")?);
        Ok(Self { corpus, seeds, findings: directory("findings")?, logs: directory("logs")? })
    }
}
