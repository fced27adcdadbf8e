//! Building the targets: with coverage, away from everything else that is built.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

/// What `cargo fuzz` passes without a sanitizer: counters of edges, their places, and the operands of comparisons.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// The programs of `crates/fuzz`.
#[derive(Clone, Debug)]
pub(super) struct Built {
    directory: PathBuf,
}

/// Builds them in `target/fuzz`, so that nothing of the workspace is built again. A named target triple keeps the
/// flags away from build scripts and macros, which have no runtime to report to.
pub(super) fn all(root: &Path) -> anyhow::Result<Built> {
    let (triple, target) = (crate::host_triple()?, root.join("target/fuzz"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--quiet", "--release", "--locked", "--manifest-path", "crates/fuzz/Cargo.toml"])
        .args(["--target", &triple, "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", COVERAGE)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the fuzz targets were not built");
    Ok(Built { directory: target.join(triple).join("release") })
}

impl Built {
    /// Where a program lies.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Runs a program with one argument to its good end.
    pub(super) fn run(&self, name: &str, argument: &Path) -> anyhow::Result<()> {
        let status = Command::new(self.program(name)).arg(argument).status();
        let status = status.with_context(|| format!("cannot start {name}"))?;
        ensure!(status.success(), "{name} failed: {status}");
        Ok(())
    }
}
