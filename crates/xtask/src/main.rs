//! Tasks of the project, run as `cargo xtask <task>`.
//!
//! `tidy` holds the rules of the house that no compiler knows; it runs as a test too.
//! `bench` measures the hub beside peers and prints one table; `binaries` looks at what protects built programs;
//! `fuzz` looks for inputs that break a parser.
//! `killpoints` and `powercut` are the long forms of the tests that kill the hub and cut its power.
//! Each task is a module here.
//! Nothing that ships depends on this crate.

mod bench;
mod binaries;
mod fuzz;
mod kills;
mod tidy;
mod uninstall;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Tasks of the project")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check what no compiler does: dependency arrows, lengths of files, crate docs, words and paths.
    Tidy,
    /// Measure the hub: one table, with a peer or baseline of the same run beside each figure.
    Bench(bench::Options),
    /// Compare what protects the built programs with the list of image/package/binaries.toml.
    Binaries(binaries::Options),
    /// Fuzz the parsers of packages: one table, and a failure with the input that shows what is broken.
    Fuzz(fuzz::Options),
    /// Kill the hub and Docker at every point of every transaction: one table of what was reached, with the result of each.
    Killpoints(kills::KillPoints),
    /// Cut the power at every flush of the disk, with the unflushed writes lost, kept and torn.
    Powercut(kills::PowerCut),
    /// Install, use and remove modules again and again, and see that nothing is left; needs root and Docker.
    UninstallCycles(uninstall::Options),
    #[command(flatten)]
    BenchHelper(bench::Helper),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().task {
        Task::Tidy => tidy(&mut io::stdout().lock()),
        Task::Bench(options) => bench::build_and_run(&root()?, &options),
        Task::Binaries(options) => binaries::run(&root()?, &options),
        Task::Fuzz(options) => fuzz::run(&root()?, &options),
        Task::Killpoints(options) => kills::killpoints(&root()?, &options),
        Task::Powercut(options) => kills::powercut(&root()?, &options),
        Task::UninstallCycles(options) => uninstall::run(&root()?, &options),
        Task::BenchHelper(helper) => helper.run().map(|()| ExitCode::SUCCESS),
    }
}

fn tidy(out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let violations = tidy::check(&root()?)?;
    for violation in &violations {
        writeln!(out, "{violation}")?;
    }
    if violations.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{} rule(s) of the house broken; crates/xtask/src/tidy says why each is one", violations.len())?;
    Ok(ExitCode::FAILURE)
}

/// The root of the workspace; `cargo run` tells where this crate lies.
fn root() -> anyhow::Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    Ok(PathBuf::from(here).join("../..").canonicalize()?)
}

/// The triple of the machine that builds.
fn host_triple() -> anyhow::Result<String> {
    let output = std::process::Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let triple = text.lines().find_map(|line| line.strip_prefix("host: "));
    triple.map(str::to_owned).context("rustc does not say for which host it builds")
}
