//! What each command does.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use selena_runtime::{Exit, agent_secret, notify};
use serde_json::{Value, json};

use crate::{
    arguments::{Arguments, Format, Run, Task},
    check::{self, Checked},
    containers::Containers,
    core_api::CoreApi,
    image::Root,
    keys, maintenance,
    memory::Memory,
    places::Places,
    published::{self, State},
    record,
    report::{Finding, Report},
    respond::Guard,
    restart::Restart,
    restore, store,
    waits::Waits,
};

/// Does it; the exit code tells what was found.
///
/// # Errors
/// If it cannot be done.
pub(crate) fn perform(arguments: &Arguments, places: Places) -> anyhow::Result<ExitCode> {
    match &arguments.task {
        Task::Baseline { paths } => {
            let recorded = record::baseline(&places, paths)?;
            say(&format!("{} files recorded, copies in {}", recorded.files, recorded.copies.display()))?;
            Ok(Exit::Ok.into())
        }
        Task::Check(format) => {
            let checked = check::check(&places, check::key(&places).as_ref());
            answer(&checked.report, *format)
        }
        Task::Restore(format) => restored(&places, *format),
        Task::Status(format) => status(&places, *format),
        Task::Maintenance(wanted) => maintenance::announce(&places, wanted).map(|()| Exit::Ok.into()),
        Task::Secret => secret(&places),
        Task::Run(run) => watch(arguments, run, places),
    }
}

fn watch(arguments: &Arguments, run: &Run, places: Places) -> anyhow::Result<ExitCode> {
    let core = CoreApi::new(&arguments.core_url, places.secure.clone())?;
    let waits = Waits::new().context("cannot listen for signals")?;
    let mut guard = Guard {
        key: check::key(&places),
        containers: Containers::new(run),
        core,
        restart: Restart::new(run),
        root: Root::of_this_machine(),
        memory: Memory::read(&places),
        waits,
        interval_secs: run.interval,
        places,
    };
    tracing::info!(secure = %guard.places.secure.display(), signer = ?keys::signer(), "the integrity agent watches");
    guard.round();
    notify::ready();
    while guard.waits.pause(Duration::from_secs(run.interval)) {
        guard.round();
    }
    notify::stopping();
    if let Some(signal) = guard.waits.told_to_end() {
        tracing::info!(%signal, "the agent ends");
    }
    Ok(Exit::Ok.into())
}

/// The first start of a hub: core and agent find the same secret, whichever of them runs first.
fn secret(places: &Places) -> anyhow::Result<ExitCode> {
    agent_secret::read_or_create(&places.secure)?;
    Ok(Exit::Ok.into())
}

/// Restores once, as a person asked; the outcome is that of a check afterwards.
fn restored(places: &Places, format: Format) -> anyhow::Result<ExitCode> {
    let key = keys::verification_key(places)?;
    let mut checked = check::check(places, Some(&key));
    if checked.report.status == Finding::ManifestTampered {
        let version = store::lock(places).and_then(|_lock| store::restore_live(places, &key))?;
        tracing::warn!(version, "the baseline itself was restored from its copy");
        checked = check::check(places, Some(&key));
    }
    if checked.report.status == Finding::Violated {
        let outcome = restore::restore(places, &checked, &Root::of_this_machine());
        if outcome.failed {
            tracing::error!("not all could be restored: what is said above tells why");
        }
        checked = check::check(places, Some(&key));
    }
    let Checked { report, .. } = checked;
    answer(&report, format)
}

fn answer(report: &Report, format: Format) -> anyhow::Result<ExitCode> {
    if format.json {
        say(&serde_json::to_string(report)?)?;
    } else {
        for violation in &report.violations {
            let told = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
            let (expected, actual) = (told(&violation.expected), told(&violation.actual));
            say(&format!("{:?} {}: expected {expected}, there is {actual}", violation.kind, violation.file))?;
        }
        for announced in &report.maintenance {
            say(&format!("announced by {}: {}", announced.by.as_str(), announced.difference.file))?;
        }
        say(&format!("{}: {} files checked", report.status.word(), report.files_checked))?;
    }
    Ok(ExitCode::from(report.status.code()))
}

fn status(places: &Places, format: Format) -> anyhow::Result<ExitCode> {
    let (state, memory) = (State::read(places), Memory::read(places));
    let of = |field: fn(&State) -> Value| state.as_ref().map_or(Value::Null, field);
    let last = memory.episode.as_ref();
    let status = json!({
        "status": state.as_ref().map_or("unknown", |state| state.status.as_str()),
        "signed_by": keys::signer(),
        "self_signed": keys::signer() == keys::Signer::SelfSigned,
        "last_check": of(|state| json!(state.last_check)),
        "check_interval_sec": of(|state| json!(state.check_interval_sec)),
        "files_checked": of(|state| json!(state.files_checked)),
        "changed_files": state.as_ref().map_or_else(Vec::new, |state| state.changed_files.clone()),
        "restore_attempts": state.as_ref().map_or(0, |state| state.restore_attempts),
        "safe_mode": published::flag_is_there(places),
        "last_violation": last,
    });
    if format.json {
        say(&status.to_string())?;
    } else {
        for (name, value) in status.as_object().into_iter().flatten() {
            say(&format!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))?;
        }
    }
    Ok(Exit::Ok.into())
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot print")
}
