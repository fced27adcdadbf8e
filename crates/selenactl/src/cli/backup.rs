//! `backup …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use selena_types::ModuleName;

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Make a backup of the whole hub, or of one module, into one encrypted file.
    ///
    /// Modules that run are stopped for a moment, one after the other, so that their data is whole.
    Create {
        /// Only this module.
        #[arg(long, value_name = "NAME")]
        module: Option<ModuleName>,
        #[command(flatten)]
        lock: BackupLock,
        /// The file; it must not be there yet.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Look a backup through to its end: the key, its parts, its database, its packages. Nothing is changed.
    Check {
        /// The backup.
        file: PathBuf,
        #[command(flatten)]
        key: BackupKey,
    },
    /// Restore a backup: one module, or the whole hub, which then starts again.
    ///
    /// What people consented to comes with it. Restore only what you made, or have from somebody you trust with the hub:
    /// whoever knows a public key can make a file that its private key opens.
    Restore {
        /// The backup.
        file: PathBuf,
        #[command(flatten)]
        key: BackupKey,
        /// Let it take the place of what is there: of the module with its data, or of the whole hub.
        #[arg(long)]
        replace: bool,
    },
    /// End the backup, check or restore that goes on.
    Cancel,
}

/// Who can open a backup.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct BackupLock {
    /// A public key of age-keygen, `age1…`: its private key need never be on the hub.
    #[arg(long, value_name = "age1…")]
    pub(crate) recipient: Option<String>,
    /// A file with a passphrase in one line.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// What opens a backup.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct BackupKey {
    /// The file of age-keygen with the private key.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// A file with the passphrase in one line.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}
