//! `module sign` and `module verify`: signatures of packages, without a hub.

use std::path::{Path, PathBuf};

use selena_signature::{FileVerdict, PackageSignature, PublicKey};
use serde_json::{Value, json};

use super::{Outcome, author::pack_anew};
use crate::{error::CtlError, keys, package::Package, screen::Screen};

/// Signs a directory, or a package in its place.
pub(super) fn run_sign(
    place: &Path,
    key: &Path,
    output: Option<PathBuf>,
    screen: &mut Screen,
) -> Result<Outcome, CtlError> {
    let key = keys::read_private(key)?;
    let output = output.or_else(|| (!place.is_dir()).then(|| place.to_owned()));
    pack_anew(place, output, Some(&key), screen)
}

/// Tells of each file whether it is what was signed, and whether the named key signed it all.
pub(super) fn run_verify(file: &Path, key: Option<&str>, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let key = key.map(keys::public).transpose()?;
    let mut package = Package::open(file)?;
    let report = match package.signature()? {
        None => unsigned(),
        Some(Err(error)) => unreadable(&error.to_string()),
        Some(Ok(signature)) => {
            let verdicts = signature.files().verdicts(&package.digests()?);
            report(&signature, key.as_ref(), &verdicts)
        }
    };
    screen.answer(&report, |screen| {
        for one in report["files"].as_array().into_iter().flatten() {
            let [path, words] = ["path", "words"].map(|field| one[field].as_str().unwrap_or_default());
            let mark = if one["verdict"] == "good" { "good  " } else { "BAD   " };
            screen.line(&format!("{mark}{path} {words}"))?;
        }
        screen.line(&format!("{}: {}", file.display(), report["summary"].as_str().unwrap_or_default()))
    })?;
    Ok(if report["ok"] == true { Outcome::Done } else { Outcome::Failed })
}

fn unsigned() -> Value {
    let summary = "UNSIGNED: nobody vouches for where it comes from";
    json!({ "ok": false, "signed": false, "key_id": null, "signature": null, "files": [], "summary": summary })
}

fn unreadable(error: &str) -> Value {
    json!({ "ok": false, "signed": true, "key_id": null, "signature": "unreadable", "files": [], "summary": error })
}

fn report(signature: &PackageSignature, key: Option<&PublicKey>, verdicts: &[(String, FileVerdict)]) -> Value {
    let files_good = verdicts.iter().all(|(_, verdict)| *verdict == FileVerdict::Good);
    let id = signature.key_id();
    let (state, words) = match key {
        None => {
            ("not checked", format!("says it is signed with key {id}: name that publisher's key with --key to be sure"))
        }
        Some(key) if key.id() != *id => ("other key", format!("is signed with key {id}, not with {}", key.id())),
        Some(key) if signature.is_by(key) => ("good", format!("is signed with key {id}")),
        Some(_) => ("wrong", format!("is not signed with key {id}, though it says so")),
    };
    let summary = if files_good { words } else { format!("{words}; it is not what was signed") };
    let files: Vec<_> = verdicts.iter().map(file_report).collect();
    json!({
        "ok": files_good && state == "good", "signed": true, "key_id": id, "signature": state, "files": files,
        "summary": summary,
    })
}

fn file_report((path, verdict): &(String, FileVerdict)) -> Value {
    let word = match verdict {
        FileVerdict::Good => "good",
        FileVerdict::Changed => "changed",
        FileVerdict::NotListed => "not listed",
        FileVerdict::Missing => "missing",
    };
    json!({ "path": path, "verdict": word, "words": verdict.as_str() })
}
