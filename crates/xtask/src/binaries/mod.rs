//! `cargo xtask binaries`: what protects the built programs is compared with `image/package/binaries.toml`.

mod elf;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use elf::Protections;
use serde::Deserialize;

/// The list, checked in.
const LIST: &str = "image/package/binaries.toml";

/// Which programs.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A directory that holds the programs of the list and nothing else.
    directory: PathBuf,
    /// How they were built: only a release has a size worth comparing.
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Profile {
    Dev,
    Release,
}

/// What is expected of a program.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// Largest size of a stripped release, in KiB.
    max_kib: u64,
    /// All of them, no more and no less.
    protections: Protections,
}

type List = BTreeMap<String, Expected>;

/// Compares; what differs is printed.
///
/// # Errors
/// If the list or a program cannot be read.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<ExitCode> {
    let list = list(root)?;
    let differences = differences(&list, &options.directory, options.profile)?;
    let mut out = io::stdout().lock();
    for difference in &differences {
        writeln!(out, "{difference}")?;
    }
    if differences.is_empty() {
        writeln!(out, "{} programs are as {LIST} has them", list.len())?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "if that is meant, change {LIST}")?;
    Ok(ExitCode::FAILURE)
}

fn list(root: &Path) -> anyhow::Result<List> {
    let text = fs::read_to_string(root.join(LIST)).with_context(|| LIST.to_owned())?;
    toml::from_str(&text).with_context(|| LIST.to_owned())
}

fn differences(list: &List, directory: &Path, profile: Profile) -> anyhow::Result<Vec<String>> {
    let mut differences = Vec::new();
    for (name, expected) in list {
        let path = directory.join(name);
        let file = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let actual = elf::protections(&file).with_context(|| path.display().to_string())?;
        if !actual.meet(&expected.protections) {
            differences.push(format!("{name}: expected {:?}\n{name}: there is {actual:?}", expected.protections));
        }
        let kib = file.len().div_ceil(1024) as u64;
        if profile == Profile::Release && kib > expected.max_kib {
            differences.push(format!("{name}: {kib} KiB, at most {} are allowed", expected.max_kib));
        }
    }
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !list.contains_key(&name) {
            differences.push(format!("{name}: is not in the list"));
        }
    }
    Ok(differences)
}
