//! `module check` and `module pack`: what needs no hub.

use std::path::{Path, PathBuf};

use selena_signature::PrivateKey;
use selena_types::Problem;
use serde_json::{Value, json};

use super::{Outcome, consent::grants};
use crate::{
    error::CtlError,
    keys,
    package::{Package, Report, check, pack},
    screen::Screen,
    value::size,
};

/// Tells all that is wrong with a package.
pub(super) fn run_check(place: &Path, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let report = check(&mut Package::open(place)?)?;
    screen.answer(&document(&report), |screen| {
        findings(&report).iter().try_for_each(|line| screen.line(line))?;
        let words = if report.problems.is_empty() { "is fit for a hub" } else { "would be refused" };
        screen.line(&format!("{} {words}", title(&report, place)))
    })?;
    Ok(if report.problems.is_empty() { Outcome::Done } else { Outcome::Failed })
}

/// Packs a directory, unless a hub would refuse what comes of it.
pub(super) fn run_pack(
    dir: &Path,
    output: Option<PathBuf>,
    key: Option<&Path>,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    if !dir.is_dir() {
        return Err(CtlError::Usage(format!("{} is no directory", dir.display())));
    }
    let key = key.map(keys::read_private).transpose()?;
    pack_anew(dir, output, key.as_ref(), screen)
}

/// Packs a directory, or what is in a package, unless a hub would refuse what comes of it.
pub(super) fn pack_anew(
    place: &Path,
    output: Option<PathBuf>,
    key: Option<&PrivateKey>,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    let mut package = Package::open(place)?;
    if key.is_some() {
        package.drop_signature();
    }
    let report = check(&mut package)?;
    let Some(manifest) = report.manifest.as_ref().filter(|_| report.problems.is_empty()) else {
        return refuse(&report, place, screen);
    };
    let out = output.unwrap_or_else(|| format!("{}-{}.zip", manifest.name, manifest.version).into());
    let report = pack(&mut package, &out, key)?;
    if !report.problems.is_empty() {
        return refuse(&report, place, screen);
    }
    let zip_bytes = std::fs::metadata(&out).map_err(|source| CtlError::File { file: out.clone(), source })?.len();
    let mut answer = document(&report);
    answer["file"] = json!(out);
    answer["zip_bytes"] = json!(zip_bytes);
    report.warnings.iter().for_each(|warning| screen.note(&line("warning", warning)));
    screen.answer(&answer, |screen| {
        let signed = match &report.signed_by {
            Some(id) => format!("signed with key {id}"),
            None => "UNSIGNED".to_owned(),
        };
        screen.line(&format!("{}: {} ({}), {signed}", title(&report, place), out.display(), size(zip_bytes)))
    })?;
    Ok(Outcome::Done)
}

fn refuse(report: &Report, dir: &Path, screen: &mut Screen) -> Result<Outcome, CtlError> {
    screen.answer(&document(report), |screen| findings(report).iter().try_for_each(|line| screen.line(line)))?;
    screen.note(&format!("error: nothing was packed: a hub would refuse {}", dir.display()));
    Ok(Outcome::Failed)
}

fn title(report: &Report, place: &Path) -> String {
    let who = match &report.manifest {
        Some(manifest) => format!("{} {} ({})", manifest.name, manifest.version, manifest.module_type),
        None => place.display().to_string(),
    };
    let files = if report.files == 1 { "file" } else { "files" };
    format!("{who}, {} {files}, {}", report.files, size(report.bytes))
}

/// One line for each thing that was found.
fn findings(report: &Report) -> Vec<String> {
    let mut lines: Vec<_> = report.problems.0.iter().map(|problem| line("problem", problem)).collect();
    lines.extend(report.warnings.iter().map(|warning| line("warning", warning)));
    lines.extend(grants(&report.adds()).into_iter().map(|grant| format!("consent  a person has to let it {grant}")));
    match &report.signed_by {
        Some(id) => lines.push(format!("signed   with key {id}; by whom, `module verify --key` tells")),
        None if report.manifest.is_some() => {
            lines
                .push("consent  nobody signed it: UNSIGNED; installed from the page, a person has to agree".to_owned());
        }
        None => {}
    }
    lines
}

fn line(what: &str, problem: &Problem) -> String {
    format!("{what}  {problem} ({})", problem.code)
}

fn document(report: &Report) -> Value {
    let manifest = report.manifest.as_ref();
    json!({
        "ok": report.problems.is_empty(),
        "name": manifest.map(|manifest| &manifest.name),
        "version": manifest.map(|manifest| manifest.version.to_string()),
        "type": manifest.map(|manifest| manifest.module_type),
        "files": report.files,
        "bytes": report.bytes,
        "signed": report.signed_by.is_some(),
        "key_id": report.signed_by,
        "problems": report.problems,
        "warnings": report.warnings,
        "adds": report.adds(),
    })
}
