//! Where the agent's files lie.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use nix::unistd::geteuid;
use selena_manifest::WatchedPath;

/// The directories, checked.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// `<secure>`, absolute and without links.
    pub(crate) secure: PathBuf,
    /// `<data>`, absolute and without links.
    pub(crate) data: PathBuf,
    /// `<secure>/core.attrs` as the manifest names it.
    pub(crate) attributes: WatchedPath,
    /// The key that signs, outside `<secure>`.
    pub(crate) signing_key: PathBuf,
}

impl Places {
    /// Checks the directories; the secure one is made if it is not there.
    ///
    /// # Errors
    /// If one is not there, others may write into the secure one, or the signing key would lie in it.
    pub(crate) fn new(secure: &Path, data: &Path, signing_key: &Path) -> anyhow::Result<Self> {
        let secure = fs::canonicalize(secure)
            .with_context(|| format!("--secure-dir {}: make it, mode 0700", secure.display()))?;
        let data = fs::canonicalize(data).with_context(|| format!("--data-dir {}: make it first", data.display()))?;
        check_owner(&secure)?;
        let attributes = WatchedPath::from_path(&secure.join("core.attrs"))
            .with_context(|| format!("--secure-dir {}", secure.display()))?;
        let signing_key = std::path::absolute(signing_key)?;
        let real = signing_key.parent().and_then(|directory| fs::canonicalize(directory).ok());
        if signing_key.starts_with(&secure) || real.is_some_and(|directory| directory.starts_with(&secure)) {
            bail!("--signing-key must lie outside --secure-dir: whoever can rewrite the baseline could sign it too");
        }
        Ok(Self { secure, data, attributes, signing_key })
    }

    /// A file of the secure directory.
    pub(crate) fn secure_file(&self, name: &str) -> PathBuf {
        self.secure.join(name)
    }

    /// Where the copies of baselines lie.
    pub(crate) fn backups(&self) -> PathBuf {
        self.secure.join("core_backup")
    }

    /// The public half of the signing key.
    pub(crate) fn verification_key(&self) -> PathBuf {
        let mut name = self.signing_key.clone().into_os_string();
        name.push(".pub");
        name.into()
    }
}

fn check_owner(secure: &Path) -> anyhow::Result<()> {
    let metadata = fs::metadata(secure)?;
    let own = [0, geteuid().as_raw()].contains(&metadata.uid());
    ensure!(
        metadata.is_dir() && own && metadata.mode() & 0o022 == 0,
        "--secure-dir {}: it must be a directory of root that nobody else may write (mode 0700); it has mode {:04o} and \
         owner {}",
        secure.display(),
        metadata.mode() & 0o7777,
        metadata.uid()
    );
    Ok(())
}
