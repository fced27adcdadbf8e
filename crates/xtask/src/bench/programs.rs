//! The programs that are measured and that measure, built for release.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::Context;
use clap::ValueEnum;
use serde::Deserialize;

use super::{Options, Part};

/// The programs that run in containers, both static, and what starts them.
#[derive(Clone, Debug)]
pub(super) struct InContainer {
    /// The hub's init.
    pub(super) init: PathBuf,
    /// The module.
    pub(super) module: PathBuf,
    /// What starts both, as a process of its own.
    pub(super) sandbox: PathBuf,
}

/// One line of `cargo build --message-format=json`.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// Builds a package by itself, so that no other package's features are in it, and tells where its program lies.
pub(super) fn build(root: &Path, package: &str) -> anyhow::Result<PathBuf> {
    cargo(root, package, &["--profile", "release"], None)
}

/// Builds a static program, for a container that holds no C library.
fn build_static(root: &Path, package: &str, profile: &str) -> anyhow::Result<PathBuf> {
    let triple = crate::host_triple()?;
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default() + " -C target-feature=+crt-static";
    cargo(root, package, &["--bin", package, "--profile", profile, "--target", &triple], Some(&flags))
}

/// Builds what runs in containers, if the part that needs it was asked for.
pub(super) fn in_container(root: &Path, options: &Options) -> anyhow::Result<Option<InContainer>> {
    if ![Part::Install, Part::Crowd, Part::Spin].iter().any(|part| options.wants(*part)) {
        return Ok(None);
    }
    let init = build_static(root, "selena-init", "init")?;
    let module = build_static(root, "selena-test-probe", "release")?;
    Ok(Some(InContainer { init, module, sandbox: build(root, "selena-sandbox")? }))
}

fn cargo(root: &Path, package: &str, more: &[&str], flags: Option<&str>) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--package", package, "--message-format=json-render-diagnostics"]);
    command.args(more).envs(flags.map(|flags| ("RUSTFLAGS", flags))).stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    anyhow::ensure!(output.status.success(), "`{package}` was not built");
    executable(&String::from_utf8_lossy(&output.stdout), package)
}

fn executable(messages: &str, package: &str) -> anyhow::Result<PathBuf> {
    let mut found = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable);
    found.next_back().with_context(|| format!("cargo told of no program of `{package}`"))
}

/// Measures, in the program built for release.
pub(super) fn run_measured(
    root: &Path,
    bench: &Path,
    hub: &Path,
    inside: Option<&InContainer>,
    options: &Options,
) -> anyhow::Result<ExitCode> {
    let mut command = Command::new(bench);
    command.arg("__bench-run").arg("--root").arg(root);
    if let Some(inside) = inside {
        command
            .arg("--init")
            .arg(&inside.init)
            .arg("--module")
            .arg(&inside.module)
            .arg("--sandbox")
            .arg(&inside.sandbox);
    }
    // What stands behind the hub is what was asked for, and is told below the table.
    command.arg("--hub").arg(hub);
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
