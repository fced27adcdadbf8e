//! What must hold whatever archive is unpacked (faults, series Z).

use std::{
    cell::LazyCell,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use selena_package::{Limits, Unpacked, ZipError, unpack};

use crate::place::Place;

/// What may be written beyond the limit before it is noticed.
const SLACK_BYTES: u64 = 1024 * 1024;
/// Longest message; a name in it is cut.
const MAX_MESSAGE: usize = 1000;

thread_local! {
    static PLACE: LazyCell<Place> = LazyCell::new(Place::new);
}

/// Limits that small inputs reach too.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        archive_bytes: 1024 * 1024,
        total_bytes: 256 * 1024,
        entries: 64,
        ratio_from_bytes: 64 * 1024,
        manifest_bytes: 4096,
        ..Limits::default()
    }
}

/// Unpacks an archive and checks what is there afterwards.
///
/// # Panics
/// If a rule is broken.
pub fn check(archive: &[u8]) {
    let _taken_or_refused = PLACE.with(|place| check_in(place, archive, &limits(), |_| ()));
}

/// Unpacks an archive in a place and checks what is there; a look at what was unpacked, before it is removed.
///
/// # Errors
/// Why the archive is refused.
///
/// # Panics
/// If a rule is broken.
pub fn check_in<T>(
    place: &Place,
    archive: &[u8],
    limits: &Limits,
    look: impl FnOnce(&Unpacked) -> T,
) -> Result<T, ZipError> {
    let (file, staging) = (place.file(archive), place.staging());
    let before = written_bytes();
    let outcome = unpack(&file, &staging, limits);
    let written = written_bytes() - before;
    assert!(written <= limits.total_bytes + SLACK_BYTES, "{written} bytes were written");
    match &outcome {
        Ok(unpacked) => check_unpacked(place, unpacked, limits),
        Err(error) => check_refused(place, error),
    }
    let outcome = outcome.map(|unpacked| look(&unpacked));
    place.clear();
    outcome
}

/// Bytes this process gave to `write` so far; bytes of files that were removed again count too.
fn written_bytes() -> u64 {
    let io = fs::read_to_string("/proc/self/io").expect("the kernel counts what is written");
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|number| number.parse().ok()).expect("/proc/self/io has a line `wchar`")
}

fn check_refused(place: &Place, error: &ZipError) {
    let (code, message) = (error.code(), error.to_string());
    assert!(
        code.starts_with("zip_") || matches!(code, "manifest_invalid" | "manifest_signature"),
        "the archive is not to blame: {code}: {message}"
    );
    assert!(message.len() < MAX_MESSAGE && !message.contains(char::is_control), "not fit to be shown: {message:?}");
    assert!(place.staged().is_empty(), "refused with {code}, and left {:?}", place.staged().keys());
}

fn check_unpacked(place: &Place, unpacked: &Unpacked, limits: &Limits) {
    let staged = place.staged();
    let files: Vec<_> = staged.iter().filter(|(_, metadata)| !metadata.is_dir()).collect();
    assert!(files.iter().map(|(path, _)| *path).eq(unpacked.files.keys()), "what is there is not what was told");
    let total: u64 = files.iter().map(|(_, metadata)| metadata.len()).sum();
    assert!(total <= limits.total_bytes, "{total} bytes were unpacked");
    assert!(files.len() <= limits.entries && staged.len() - files.len() <= limits.entries, "too many entries");
    for (path, metadata) in &staged {
        assert!(metadata.is_dir() || metadata.is_file(), "{path} is neither file nor directory");
        assert!(metadata.is_dir() || metadata.nlink() == 1, "{path} is linked");
        let mode = metadata.permissions().mode() & 0o7777;
        assert!(mode == 0o755 || (mode == 0o644 && metadata.is_file()), "{path} has mode {mode:o}");
        assert!(is_good_path(path, limits), "{path:?} breaks a rule");
    }
    let mut folded: Vec<_> = staged.keys().map(|path| path.to_lowercase()).collect();
    folded.sort_unstable();
    folded.dedup();
    assert_eq!(folded.len(), staged.len(), "two paths differ in capitals only");
    let manifest = fs::read("staging/manifest.json").expect("a package has a manifest");
    assert_eq!(manifest, unpacked.manifest, "the manifest that is told is not the one that is there");
    assert!(manifest.len() as u64 <= limits.manifest_bytes, "the manifest is too large");
}

/// The rules of Z03 to Z06 and Z17, in other words than the package's own.
fn is_good_path(path: &str, limits: &Limits) -> bool {
    let parts: Vec<_> = path.split('/').collect();
    let good_part = |part: &&str| {
        let stem = part.split('.').next().unwrap_or_default().to_ascii_uppercase();
        !matches!(*part, "" | "." | "..")
            && !part.ends_with('.')
            && !part.ends_with(' ')
            && !matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "COM1" | "LPT1")
    };
    let hidden = |c: char| c.is_control() || matches!(c, '\\' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    path.len() <= limits.path_bytes
        && parts.len() <= limits.depth
        && parts.iter().all(good_part)
        && !path.contains(hidden)
        && !(path.as_bytes().get(1) == Some(&b':') && path.as_bytes()[0].is_ascii_alphabetic())
}
