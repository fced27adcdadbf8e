//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use selena_manifest::NoticeKind;
use selena_runtime::LogLevel;

/// The integrity agent of a Selena hub.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// Where the baseline and its copies lie: root's alone.
    #[arg(long, value_name = "DIR", global = true, default_value = "/secure")]
    pub(crate) secure_dir: PathBuf,
    /// The hub's data, where the agent says what it found and lays the flag of SAFE MODE.
    #[arg(long, value_name = "DIR", global = true, default_value = "/var/lib/selena")]
    pub(crate) data_dir: PathBuf,
    /// The core's API on this machine.
    #[arg(long, value_name = "URL", global = true, default_value = "http://127.0.0.1:7070")]
    pub(crate) core_url: String,
    /// The key that signs baselines, outside --secure-dir; its public half lies beside it, with `.pub` at its end.
    /// An agent built for a release has its key built in, and needs neither.
    #[arg(long, value_name = "FILE", global = true, default_value = "/etc/selena/agent-signing.key")]
    pub(crate) signing_key: PathBuf,
    /// What is logged: error, warn, info, debug.
    #[arg(long, value_name = "LEVEL", global = true, default_value = "info")]
    pub(crate) log_level: LogLevel,
    #[command(subcommand)]
    pub(crate) task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Record these files and directories as they are now, keep copies of them, and sign that.
    Baseline {
        /// Files, and directories with all that is in them.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Compare the files with the baseline; ends with 0 if they are equal, 2 if not, 3 if the baseline is not the signed one.
    Check(Format),
    /// Restore the files from the copies, once; neither containers nor the core are touched.
    Restore(Format),
    /// What the agent last found and did.
    Status(Format),
    /// Announce that some files are about to be changed, so that this is no violation.
    Maintenance(Maintenance),
    /// Make the secret that the core knows the agent by, unless there is one.
    Secret,
    /// Watch: check every minute, and act on a violation.
    Run(Run),
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Format {
    /// As JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is announced.
#[derive(Debug, Args)]
pub(crate) struct Maintenance {
    /// Who changes them.
    #[arg(long, value_enum, default_value = "operator")]
    pub(crate) kind: Who,
    /// For how long, in seconds, up to a day; it ends with this boot in any case.
    #[arg(long = "for", value_name = "SECS", default_value_t = 900)]
    pub(crate) secs: u64,
    /// The work is done: take the announcement back.
    #[arg(long, conflicts_with = "paths")]
    pub(crate) end: bool,
    /// Files, and directories with all that is in them.
    #[arg(required_unless_present = "end", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// Who changes files.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Who {
    /// An update of the hub.
    Update,
    /// A person.
    Operator,
}

impl From<Who> for NoticeKind {
    fn from(who: Who) -> Self {
        match who {
            Who::Update => Self::Update,
            Who::Operator => Self::Operator,
        }
    }
}

/// How it is watched.
#[derive(Clone, Debug, Args)]
pub(crate) struct Run {
    /// Seconds between two checks.
    #[arg(long, value_name = "SECS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) interval: u64,
    /// Docker's command line.
    #[arg(long, value_name = "PROGRAM", default_value = "docker")]
    pub(crate) docker: PathBuf,
    /// The label of the containers that are stopped.
    #[arg(long, value_name = "LABEL", default_value = "selena.module")]
    pub(crate) container_label: String,
    /// The core's unit, where systemd runs.
    #[arg(long, value_name = "UNIT", default_value = "selena-core")]
    pub(crate) core_unit: String,
    /// A program that restarts the core, instead of systemd; it is called without arguments.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) restart_command: Option<PathBuf>,
}
