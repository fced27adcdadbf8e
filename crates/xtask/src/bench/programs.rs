//! The programs that are measured and that measure, built for release.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::Context;
use clap::ValueEnum;
use serde::Deserialize;

use super::Options;

/// One line of `cargo build --message-format=json`.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// Builds a package by itself, so that no other package's features are in it, and tells where its program lies.
pub(super) fn build(root: &Path, package: &str) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--package", package, "--message-format=json-render-diagnostics"];
    let output = Command::new(cargo).current_dir(root).args(arguments).stderr(Stdio::inherit()).output();
    let output = output.context("cannot run cargo")?;
    anyhow::ensure!(output.status.success(), "`{package}` was not built");
    executable(&String::from_utf8_lossy(&output.stdout), package)
}

fn executable(messages: &str, package: &str) -> anyhow::Result<PathBuf> {
    let mut found = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable);
    found.next_back().with_context(|| format!("cargo told of no program of `{package}`"))
}

/// Measures, in the program built for release.
pub(super) fn run_measured(root: &Path, bench: &Path, hub: &Path, options: &Options) -> anyhow::Result<ExitCode> {
    let mut command = Command::new(bench);
    command.arg("__bench-run").arg("--root").arg(root).arg("--hub").arg(hub);
    if options.quick {
        command.arg("--quick");
    }
    if let Some(file) = &options.json {
        command.arg("--json").arg(file);
    }
    for part in &options.only {
        command.arg("--only").arg(part.to_possible_value().context("a part without a name")?.get_name());
    }
    let status = command.status().with_context(|| format!("cannot start {}", bench.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_last_one_cargo_tells_of() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/t/build-script\"}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/t/release/selenad\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(messages, "selenad").unwrap(), Path::new("/t/release/selenad"));
        assert!(executable("", "selenad").is_err());
    }
}
