//! The signed baseline in `<secure>`, and its copies in `<secure>/core_backup/<version>/`.
//!
//! A new baseline is written whole into a version of its own first; then a marker says that it is to be installed, and
//! only then are the four live files replaced, one by one. Whoever finds the marker finishes that: a power cut at any
//! moment leaves the old baseline or the new one (W12).

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use selena_manifest::{Baseline, MAX_MANIFEST_BYTES, SetError, SignedSet, VerificationKey};

use crate::{
    clock, durable,
    places::Places,
    secure_file::{self, Readers, SecureFileError},
};

const MANIFEST: &str = "core.manifest";
const SIGNATURE: &str = "core.manifest.sig";
const MASTER_HASH: &str = "master.hash";
const ATTRIBUTES: &str = "core.attrs";
/// Names the version that is being installed.
const MARKER: &str = "core.pending";
/// Where the copies of a version's files lie, by their SHA-256.
const FILES: &str = "files";
/// Longest signature or hash that is read.
const MAX_SMALL_BYTES: u64 = 1024;
/// How many versions are kept.
const KEPT_VERSIONS: usize = 3;
/// How long another agent at work is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// Why the live files are no baseline.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// One of them cannot be taken.
    #[error(transparent)]
    File(#[from] SecureFileError),
    /// They do not belong together, or nobody signed them.
    #[error(transparent)]
    Set(#[from] SetError),
}

/// A version among the copies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    number: u64,
    /// Where it lies.
    pub(crate) directory: PathBuf,
}

impl Version {
    /// The copy of the file with that SHA-256.
    pub(crate) fn copy(&self, digest: selena_manifest::Digest) -> PathBuf {
        self.directory.join(FILES).join(digest.to_string())
    }

    fn name(&self) -> String {
        name(self.number)
    }
}

fn name(number: u64) -> String {
    format!("{number:06}")
}

/// Held while the files of `<secure>` are read or written together; let go when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _directory: File,
}

/// Waits until no other agent is at work on `<secure>`.
///
/// # Errors
/// If one still is after 30 s.
pub(crate) fn lock(places: &Places) -> anyhow::Result<Lock> {
    let directory = File::open(&places.secure).with_context(|| places.secure.display().to_string())?;
    let deadline = clock::since_boot() + LOCK_PATIENCE;
    loop {
        match directory.try_lock() {
            Ok(()) => return Ok(Lock { _directory: directory }),
            Err(fs::TryLockError::WouldBlock) if clock::since_boot() < deadline => pause(),
            Err(fs::TryLockError::WouldBlock) => {
                bail!("another selena-agent works on {} for 30 s", places.secure.display())
            }
            Err(fs::TryLockError::Error(error)) => return Err(error).context("cannot lock the secure directory"),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks at a lock that tells nobody when it is free"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// The live files, as they are; nothing is believed yet.
///
/// # Errors
/// If one is missing, or others could have written it.
fn read_set(directory: &Path) -> Result<SignedSet, SecureFileError> {
    let read = |name, max_bytes| secure_file::read(&directory.join(name), Readers::Group, max_bytes);
    let large = MAX_MANIFEST_BYTES as u64;
    Ok(SignedSet {
        master_hash: read(MASTER_HASH, MAX_SMALL_BYTES)?,
        signature: read(SIGNATURE, MAX_SMALL_BYTES)?,
        manifest: read(MANIFEST, large)?,
        attributes: read(ATTRIBUTES, large)?,
    })
}

/// The live baseline.
///
/// # Errors
/// [`LoadError`]: the protocol's `MANIFEST_TAMPERED`.
pub(crate) fn load(places: &Places, key: &VerificationKey) -> Result<Baseline, LoadError> {
    Ok(read_set(&places.secure)?.verify(&places.attributes, key)?)
}

/// The copies, newest first.
///
/// # Errors
/// If they cannot be listed.
pub(crate) fn versions(places: &Places) -> io::Result<Vec<Version>> {
    let listed = match fs::read_dir(places.backups()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut versions = Vec::new();
    for entry in listed {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let (Some(number), true) = (number, entry.file_type()?.is_dir()) {
            versions.push(Version { number, directory: entry.path() });
        }
    }
    versions.sort_unstable();
    versions.reverse();
    Ok(versions)
}

/// A version in the making: a directory that no agent takes for one.
#[derive(Debug)]
pub(crate) struct Draft {
    version: Version,
    directory: PathBuf,
}

/// Begins a version after the newest one.
///
/// # Errors
/// What the file system says.
pub(crate) fn draft(places: &Places) -> io::Result<Draft> {
    let backups = places.backups();
    make_private(&backups)?;
    durable::sync_directory(&places.secure)?;
    remove_drafts(&backups)?;
    let number = versions(places)?.first().map_or(0, |newest| newest.number) + 1;
    let directory = backups.join(format!(".{}.new", name(number)));
    make_private(&directory)?;
    make_private(&directory.join(FILES))?;
    Ok(Draft { version: Version { number, directory: backups.join(name(number)) }, directory })
}

impl Draft {
    /// Where the copy of the file with that SHA-256 is to lie.
    pub(crate) fn files(&self) -> PathBuf {
        self.directory.join(FILES)
    }

    /// Gives its space back; what cannot be removed is removed by the next draft.
    pub(crate) fn discard(&self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::warn!(directory = %self.directory.display(), %error, "what was begun is not removed yet");
        }
    }

    /// Makes it a version, durably, and installs it as the live baseline.
    ///
    /// # Errors
    /// What the file system says; the old baseline holds until the marker is written.
    pub(crate) fn install(self, places: &Places, set: &SignedSet) -> io::Result<Version> {
        for (name, bytes) in parts(set) {
            durable::create(&self.directory.join(name), bytes, 0o600)?;
        }
        durable::sync_directory(&self.files())?;
        durable::sync_directory(&self.directory)?;
        fs::rename(&self.directory, &self.version.directory)?;
        durable::sync_directory(&places.backups())?;
        durable::replace(&places.secure_file(MARKER), self.version.name().as_bytes(), 0o600)?;
        install_live(places, set)?;
        remove_marker(places)?;
        prune(places)?;
        Ok(self.version)
    }
}

/// Finishes an installation that a kill or a power cut interrupted; whether there was one.
///
/// # Errors
/// What the file system says.
pub(crate) fn settle(places: &Places, key: &VerificationKey) -> io::Result<bool> {
    let marker = places.secure_file(MARKER);
    let named = match secure_file::read(&marker, Readers::Group, MAX_SMALL_BYTES) {
        Ok(named) => named,
        Err(SecureFileError::Missing(_)) => return Ok(false),
        Err(error) => {
            tracing::error!(%error, "the marker of a baseline in the making is not taken: it is removed");
            return remove_marker(places).map(|()| false);
        }
    };
    let named = String::from_utf8_lossy(&named).into_owned();
    let version = versions(places)?.into_iter().find(|version| version.name() == named);
    match version.map(|version| signed_set(places, &version, key)) {
        Some(Ok(set)) => {
            install_live(places, &set)?;
            tracing::warn!(version = named, "a baseline was being installed when the agent ended: it is finished now");
        }
        Some(Err(error)) => {
            tracing::error!(%error, version = named, "the baseline that was to be installed is not signed")
        }
        None => tracing::error!(version = named, "the baseline that was to be installed is not there"),
    }
    remove_marker(places)?;
    Ok(true)
}

/// Puts the newest signed copy of the four files in place; which version that was.
///
/// # Errors
/// If no copy is signed, or the file system fails.
pub(crate) fn restore_live(places: &Places, key: &VerificationKey) -> anyhow::Result<String> {
    let versions = versions(places).with_context(|| places.backups().display().to_string())?;
    for version in &versions {
        match signed_set(places, version, key) {
            Ok(set) => {
                install_live(places, &set).context("cannot write the baseline: free space, or look at the disk")?;
                return Ok(version.name());
            }
            Err(error) => {
                let copy = version.directory.display();
                tracing::error!(%copy, %error, "this copy of the baseline is not the signed one: the next is tried");
            }
        }
    }
    bail!("none of {} copies of the baseline in {} is signed", versions.len(), places.backups().display())
}

fn signed_set(places: &Places, version: &Version, key: &VerificationKey) -> Result<SignedSet, LoadError> {
    let set = read_set(&version.directory)?;
    set.verify(&places.attributes, key)?;
    Ok(set)
}

fn install_live(places: &Places, set: &SignedSet) -> io::Result<()> {
    for (name, bytes) in parts(set) {
        let path = places.secure_file(name);
        // A directory in the place of a file cannot be renamed over.
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            fs::remove_dir_all(&path)?;
        }
        durable::replace(&path, bytes, 0o600)?;
    }
    Ok(())
}

fn parts(set: &SignedSet) -> [(&'static str, &[u8]); 4] {
    [
        (ATTRIBUTES, &set.attributes),
        (MANIFEST, &set.manifest),
        (MASTER_HASH, &set.master_hash),
        (SIGNATURE, &set.signature),
    ]
}

fn remove_marker(places: &Places) -> io::Result<()> {
    durable::remove_if_there(&places.secure_file(MARKER))?;
    durable::sync_directory(&places.secure)
}

fn prune(places: &Places) -> io::Result<()> {
    for version in versions(places)?.into_iter().skip(KEPT_VERSIONS) {
        fs::remove_dir_all(&version.directory)?;
    }
    durable::sync_directory(&places.backups())
}

fn remove_drafts(backups: &Path) -> io::Result<()> {
    for entry in fs::read_dir(backups)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}
