//! `cargo xtask uninstall-cycles`: the long form of the test that a removal leaves nothing.

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::Context;
use clap::Args;

/// How often.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// How many modules come and go.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    cycles: u32,
}

/// Runs the black-box test `uninstall` that often.
///
/// # Errors
/// If cargo cannot be run.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["test", "--locked", "--package", "selena-tests", "--test", "uninstall"]);
    command.args(["--", "--nocapture"]).env("SELENA_UNINSTALL_CYCLES", options.cycles.to_string());
    let status = command.status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
