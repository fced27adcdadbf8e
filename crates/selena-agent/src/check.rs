//! One check: the baseline is verified, and every watched path compared with it.

use std::{path::Path, sync::mpsc, thread, time::Duration};

use selena_manifest::{
    Baseline, Entry, Kind, Notice, Seen, SeenKind, VerificationKey, Violation, WatchedPath, compare, compare_listing,
    missing, tampered, unexpected, unreadable,
};

use crate::{
    clock, keys,
    look::{self, Looker},
    maintenance,
    places::Places,
    priority,
    report::{Announced, Finding, Report},
    store,
};

/// How long the hashing thread stands back; then it takes part like everybody else, or a machine that never rests
/// would never be checked.
const IDLE_FOR: Duration = Duration::from_secs(20);

/// A check's outcome, and what it was measured by.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What was found.
    pub(crate) report: Report,
    /// The verified baseline, unless it is not the signed one.
    pub(crate) baseline: Option<Baseline>,
    /// What is announced at this time.
    pub(crate) notice: Option<Notice>,
}

/// Checks once, at the caller's priority.
pub(crate) fn check(places: &Places, key: Option<&VerificationKey>) -> Checked {
    check_with(places, key, &mut || {})
}

/// Checks once in a thread that lets all others go first; `alive` is called while that thread makes progress.
pub(crate) fn check_idly(places: &Places, key: Option<&VerificationKey>, alive: impl Fn()) -> Checked {
    let (progress, progressed) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        let checking = scope.spawn(move || {
            let begun = clock::since_boot();
            let mut idle = priority::idle().is_ok();
            check_with(places, key, &mut || {
                // A full channel means that the last word was not yet taken: that one serves.
                let _taken = progress.try_send(());
                if idle && clock::since_boot() > begun + IDLE_FOR {
                    idle = false;
                    if let Err(error) = priority::normal() {
                        tracing::warn!(%error, "the check stays at idle priority and may be late");
                    }
                }
            })
        });
        progressed.iter().for_each(|()| alive());
        checking.join().expect("a check does not panic")
    })
}

/// Checks once, at the caller's priority; `tick` is called while it makes progress.
pub(crate) fn check_with(places: &Places, key: Option<&VerificationKey>, tick: &mut dyn FnMut()) -> Checked {
    let lock = store::lock(places);
    if let Err(error) = &lock {
        tracing::error!(error = format!("{error:#}"), "checking without waiting any longer");
    }
    let Some(key) = key else {
        let file = places.verification_key().display().to_string();
        return not_signed(file, "there is no key to verify the baseline with".to_owned());
    };
    if let Err(error) = store::settle(places, key) {
        tracing::error!(%error, "a baseline in the making cannot be finished: free space, or look at the disk");
    }
    match store::load(places, key) {
        Ok(baseline) => {
            let notice = maintenance::current(places, key);
            let report = compare_all(&baseline, notice.as_ref(), tick);
            Checked { report, baseline: Some(baseline), notice }
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            not_signed(places.secure_file("core.manifest").display().to_string(), format!("{error}{cause}"))
        }
    }
}

fn not_signed(file: String, why: String) -> Checked {
    let violations = vec![tampered(file, why)];
    let report = Report {
        status: Finding::ManifestTampered,
        files_checked: 0,
        violations,
        announced_by: None,
        maintenance: Vec::new(),
    };
    Checked { report, baseline: None, notice: None }
}

fn compare_all(baseline: &Baseline, notice: Option<&Notice>, tick: &mut dyn FnMut()) -> Report {
    let mut looker = Looker::new(tick);
    let (mut found, mut files_checked) = (Vec::new(), 0);
    for (path, entry) in baseline.entries() {
        files_checked += u64::from(matches!(entry.kind, Kind::File { .. }));
        compare_one(baseline, path, entry, &mut looker, &mut found);
    }
    let (announced, violations): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|it| notice.is_some_and(|notice| notice.covers(&it.file)));
    let status = if violations.is_empty() { Finding::Ok } else { Finding::Violated };
    let by = notice.map(|notice| notice.kind);
    let maintenance = announced.into_iter().filter_map(|difference| Some(Announced { by: by?, difference })).collect();
    Report { status, files_checked, violations, announced_by: by, maintenance }
}

fn compare_one(
    baseline: &Baseline,
    path: &WatchedPath,
    entry: &Entry,
    looker: &mut Looker<'_>,
    found: &mut Vec<Violation>,
) {
    let digest = baseline.digest(path);
    match looker.look(path.as_path(), expected_bytes(entry)) {
        Ok(Some(seen)) => {
            found.extend(compare(path, entry, digest, &seen));
            if entry.kind == Kind::Directory && seen.kind == SeenKind::Directory {
                found.extend(unlisted(baseline, path, looker));
            }
        }
        Ok(None) => found.push(missing(path, entry, digest)),
        Err(error) => found.push(unreadable(path.as_str(), &error.to_string())),
    }
}

/// What lies in a listed directory and should not.
fn unlisted(baseline: &Baseline, directory: &WatchedPath, looker: &mut Looker<'_>) -> Vec<Violation> {
    let names = match look::names(directory.as_path()) {
        Ok(names) => names,
        Err(error) => return vec![unreadable(directory.as_str(), &error.to_string())],
    };
    let names = names.into_iter().map(|name| name.to_string_lossy().into_owned());
    let paths = compare_listing(names, directory, |path| baseline.entry(path).is_some());
    let describe = |path: String| {
        let seen = looker.look(Path::new(&path), 0).ok().flatten();
        unexpected(path, seen.as_ref().map(|seen: &Seen| &seen.kind))
    };
    paths.into_iter().map(describe).collect()
}

fn expected_bytes(entry: &Entry) -> u64 {
    match entry.kind {
        Kind::File { bytes, .. } => bytes,
        _ => 0,
    }
}

/// The key, if there is one; that there is none is a finding, not a reason to end.
pub(crate) fn key(places: &Places) -> Option<VerificationKey> {
    keys::verification_key(places)
        .inspect_err(|error| tracing::error!(error = format!("{error:#}"), "no baseline can be verified"))
        .ok()
}
