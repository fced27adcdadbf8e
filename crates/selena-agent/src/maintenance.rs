//! The signed maintenance file, `<secure>/maintenance.json`.

use std::path::PathBuf;

use anyhow::Context;
use selena_manifest::{Notice, VerificationKey, WatchedPath};

use crate::{
    arguments::Maintenance,
    clock, durable, keys,
    places::Places,
    secure_file::{self, Readers, SecureFileError},
};

const NAME: &str = "maintenance.json";
const MAX_BYTES: u64 = 1024 * 1024;

/// What is announced at this time. A file that nobody who may has signed announces nothing.
pub(crate) fn current(places: &Places, key: &VerificationKey) -> Option<Notice> {
    let path = places.secure_file(NAME);
    let bytes = match secure_file::read(&path, Readers::Group, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(SecureFileError::Missing(_)) => return None,
        Err(error) => {
            tracing::error!(%error, "the maintenance file counts for nothing");
            return None;
        }
    };
    let now = clock::moment().ok()?;
    match Notice::verify(&bytes, &now, key) {
        Ok(notice) => notice,
        Err(error) => {
            let file = path.display();
            tracing::error!(%file, %error, "the maintenance file counts for nothing: remove it if you know where it is from");
            None
        }
    }
}

/// Announces a change, or takes an announcement back.
///
/// # Errors
/// If it cannot be signed or written.
pub(crate) fn announce(places: &Places, wanted: &Maintenance) -> anyhow::Result<()> {
    let path = places.secure_file(NAME);
    if wanted.end {
        durable::remove_if_there(&path)
            .and_then(|()| durable::sync_directory(&places.secure))
            .with_context(|| format!("cannot remove {}", path.display()))?;
        return Ok(());
    }
    let key = keys::signing_key(places)?;
    let now = clock::moment().context("the kernel does not say which boot this is")?;
    let paths = wanted.paths.iter().map(watched).collect::<anyhow::Result<_>>()?;
    let not_after_boot_secs = now.boot_secs.saturating_add(wanted.secs);
    let notice = Notice { kind: wanted.kind.into(), paths, boot_id: now.boot_id.clone(), not_after_boot_secs };
    let bytes = notice.sign(&now, &key)?;
    durable::replace(&path, &bytes, 0o600).with_context(|| format!("cannot write {}", path.display()))
}

fn watched(path: &PathBuf) -> anyhow::Result<WatchedPath> {
    // What is announced may not be there yet, or no more.
    let real = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path))?;
    WatchedPath::from_path(&real).with_context(|| path.display().to_string())
}
