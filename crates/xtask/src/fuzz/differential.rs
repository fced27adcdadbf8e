//! The comparison with Python's `zipfile`: what we take, it takes too, with the same names and content.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context;

use super::{Options, Places, build::Built};

/// How a comparison went.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    /// For people.
    pub(super) told: String,
    /// What is wrong, if the readers differ.
    pub(super) failure: Option<String>,
}

/// Compares series Z, what fuzzing found, and archives that are made up.
pub(super) fn run(built: &Built, places: &Places, scratch: &Path, options: &Options) -> anyhow::Result<Compared> {
    let output = Command::new(built.program("differential"))
        .args([options.archives.to_string(), options.seed.to_string()])
        .args([places.seeds.join("zip"), places.corpus.join("zip")])
        .current_dir(&places.findings)
        .env("TMPDIR", scratch)
        .stderr(Stdio::piped())
        .output()
        .context("cannot start the comparison")?;
    let told = format!("beside Python's zipfile: {}", String::from_utf8_lossy(&output.stdout).trim_end());
    let why = || format!("differential: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(Compared { told, failure: (!output.status.success()).then(why) })
}
