//! The memory of this process holds keys and tokens: nobody but root gets to read it, and it never lands in a file.

use anyhow::Context;
use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
};

/// Takes all the descriptors it may have: every module's connections and tunnels are the hub's own.
pub(crate) fn take_descriptors() -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("cannot raise the limit of open files")
}

/// No core dumps, and no look into `/proc/<pid>/mem` for other processes of the same user (series S, S10).
/// To be called before anything secret is read.
pub(crate) fn keep_private() -> anyhow::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).context("cannot forbid core dumps")?;
    prctl::set_dumpable(false).context("cannot close this process's memory to others")
}
