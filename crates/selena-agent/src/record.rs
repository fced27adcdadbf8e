//! `baseline`: what is there now is recorded, copied and signed.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use nix::fcntl::{OFlag, readlinkat};
use selena_manifest::{Attributes, Digest, Entry, Hasher, Kind, Unsigned, WatchedPath};

use crate::{durable, keys, look, places::Places, store, store::Draft};

/// What was recorded.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// How many files.
    pub(crate) files: usize,
    /// Where the copies lie.
    pub(crate) copies: PathBuf,
}

/// Records these paths as the new baseline.
///
/// # Errors
/// If one cannot be recorded; the old baseline holds then.
pub(crate) fn baseline(places: &Places, paths: &[PathBuf]) -> anyhow::Result<Recorded> {
    let key = keys::signing_key(places)?;
    let _lock = store::lock(places)?;
    store::settle(places, &key.verification_key()).context("an earlier baseline cannot be finished")?;
    let draft = store::draft(places).with_context(|| format!("cannot write to {}", places.backups().display()))?;
    let recorded = record(places, paths, &draft).and_then(|unsigned| {
        let files = unsigned.files.len();
        Ok((unsigned.sign(&places.attributes, &key)?, files))
    });
    let (set, files) = recorded.inspect_err(|_| draft.discard())?;
    let version =
        draft.install(places, &set).with_context(|| format!("cannot write to {}", places.secure.display()))?;
    Ok(Recorded { files, copies: version.directory })
}

fn record(places: &Places, paths: &[PathBuf], draft: &Draft) -> anyhow::Result<Unsigned> {
    let (files, entries) = (BTreeMap::new(), BTreeMap::new());
    let mut recorder = Recorder { places, copies: draft.files(), hasher: Hasher::default(), files, entries };
    for path in paths {
        recorder.add_named(path)?;
    }
    ensure!(!recorder.files.is_empty(), "there is no file in what was named: a baseline of nothing protects nothing");
    Ok(Unsigned { files: recorder.files, attributes: Attributes::new(recorder.entries) })
}

struct Recorder<'a> {
    places: &'a Places,
    copies: PathBuf,
    hasher: Hasher,
    files: BTreeMap<WatchedPath, Digest>,
    entries: BTreeMap<WatchedPath, Entry>,
}

impl Recorder<'_> {
    /// A path as a person wrote it: links in the directories before it are resolved, itself it is taken as it is.
    fn add_named(&mut self, path: &Path) -> anyhow::Result<()> {
        let told = || path.display().to_string();
        let absolute = std::path::absolute(path).with_context(told)?;
        let (Some(directory), Some(name)) = (absolute.parent(), absolute.file_name()) else {
            bail!("{}: the root itself cannot be watched; name its directories", path.display());
        };
        let real = fs::canonicalize(directory).with_context(told)?.join(name);
        for ours in [&self.places.secure, &self.places.data] {
            ensure!(
                !ours.starts_with(&real) && !real.starts_with(&self.places.secure),
                "{}: it holds {}, which changes all the time",
                path.display(),
                ours.display()
            );
        }
        self.add(&real)
    }

    fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        let told = || path.display().to_string();
        let watched = WatchedPath::from_path(path).with_context(told)?;
        let handle = File::from(look::open(path, OFlag::O_PATH).with_context(told)?);
        let metadata = handle.metadata().with_context(told)?;
        let kind = if metadata.is_file() {
            return self.add_file(watched).with_context(told);
        } else if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_symlink() {
            let target = readlinkat(&handle, "").with_context(told)?;
            let target = target.to_str().with_context(|| format!("{}: its target is no UTF-8", path.display()))?;
            Kind::Symlink { target: target.to_owned() }
        } else {
            bail!("{}: only files, directories and symbolic links can be watched", path.display());
        };
        let is_directory = kind == Kind::Directory;
        self.entries.insert(watched, entry(kind, &metadata));
        if is_directory {
            for name in look::names(path).with_context(told)? {
                self.add(&path.join(name))?;
            }
        }
        Ok(())
    }

    /// Hashed and copied in one go, from one open file: the copy is what was hashed.
    fn add_file(&mut self, path: WatchedPath) -> io::Result<()> {
        let file = File::from(look::open(path.as_path(), OFlag::O_RDONLY | OFlag::O_NONBLOCK)?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it was replaced while it was recorded"));
        }
        let temporary = self.copies.join("copy.new");
        durable::remove_if_there(&temporary)?;
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let digest = self.hasher.hash(&mut &file, |piece| copy.write_all(piece))?;
        let bytes = copy.metadata()?.len();
        let target = self.copies.join(digest.to_string());
        if target.exists() {
            durable::remove_if_there(&temporary)?;
        } else {
            copy.sync_all()?;
            fs::rename(&temporary, &target)?;
        }
        let kind = Kind::File { bytes, single_name: metadata.nlink() == 1 };
        self.entries.insert(path.clone(), entry(kind, &metadata));
        self.files.insert(path, digest);
        Ok(())
    }
}

fn entry(kind: Kind, metadata: &fs::Metadata) -> Entry {
    Entry { kind, mode: metadata.mode() & 0o7777, uid: metadata.uid(), gid: metadata.gid() }
}
