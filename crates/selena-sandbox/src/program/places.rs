//! Where everything of the sandbox lies, and whom it serves; checked before its socket is there.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use nix::{
    sys::resource::{Resource, setrlimit},
    unistd::{Uid, User, geteuid},
};
use selena_runtime::{
    journal, release,
    settings::{Settings, variable},
};
use selena_sandbox::SandboxConfig;

use super::{arguments::Arguments, identity};

/// Every place of this sandbox, checked.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) sandbox: SandboxConfig,
    pub(crate) socket: PathBuf,
    pub(crate) core_uid: u32,
    pub(crate) core_group: Option<u32>,
    pub(crate) dev: bool,
}

impl Places {
    /// All that can be wrong with the configuration. Begins to log.
    pub(crate) fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        setrlimit(Resource::RLIMIT_CORE, 0, 0).context("cannot forbid core dumps")?;
        if arguments.dev && release::is_release(release::OS_RELEASE.as_ref())? {
            bail!("--dev is not for release images: this system's VARIANT_ID is `release`");
        }
        let settings = Settings::load(arguments.config.as_deref(), &variable)?;
        journal::init(&settings.log_level).context("cannot begin to log")?;
        if !geteuid().is_root() {
            bail!("the sandbox needs root: it mounts volumes and enters network namespaces");
        }
        let data_dir = arguments.data_dir.clone().unwrap_or(settings.data_dir);
        let own_dir = own_directory(&arguments.sandbox_dir.clone().unwrap_or(settings.sandbox_dir))?;
        let hub_id = identity::read_or_create(&own_dir)?;
        let mut sandbox = SandboxConfig::new(arguments.init.clone(), data_dir, own_dir, hub_id);
        sandbox.docker_socket.clone_from(&arguments.docker_socket);
        sandbox.name_prefix.clone_from(&arguments.name_prefix);
        sandbox.sysfs.clone_from(&arguments.sysfs);
        let (core_uid, core_group) = core_user(arguments.core_user.as_deref().unwrap_or(&settings.core_user))?;
        let socket = arguments.socket.clone().unwrap_or(settings.sandbox_socket);
        Ok(Self { sandbox, socket, core_uid, core_group, dev: arguments.dev })
    }
}

/// The user and, if it is known to the system, its group.
fn core_user(given: &str) -> anyhow::Result<(u32, Option<u32>)> {
    let known = match given.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number))?,
        Err(_name) => User::from_name(given)?,
    };
    match (known, given.parse()) {
        (Some(user), _) => Ok((user.uid.as_raw(), Some(user.gid.as_raw()))),
        // A number without a name in the system: the group of that number is its own, as with users made by hand.
        (None, Ok(number)) => Ok((number, Some(number))),
        (None, Err(_)) => bail!("setting `core_user`: there is no user `{given}` on this system"),
    }
}

/// What this process believes lies there; so nobody else may write to it.
fn own_directory(path: &Path) -> anyhow::Result<PathBuf> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the directory `{}`", path.display()))?;
    let checked = || -> io::Result<PathBuf> {
        let metadata = fs::symlink_metadata(path)?;
        if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
            return Err(io::Error::other("it has to be a directory of root's that nobody else may write to"));
        }
        path.canonicalize()
    };
    checked().with_context(|| format!("the sandbox's own directory `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_cores_user_is_a_name_or_a_number() {
        assert_eq!(core_user("root").unwrap(), (0, Some(0)));
        assert_eq!(core_user("3999999").unwrap(), (3_999_999, Some(3_999_999)));
        assert!(core_user("nobody-of-that-name").unwrap_err().to_string().contains("core_user"));
    }

    #[test]
    fn a_directory_that_others_may_change_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("a/b");
        assert_eq!(own_directory(&own).unwrap(), own.canonicalize().unwrap());
        fs::set_permissions(&own, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(own_directory(&own).is_err());
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
        symlink(&own, dir.path().join("link")).unwrap();
        assert!(own_directory(&dir.path().join("link")).is_err());
    }
}
