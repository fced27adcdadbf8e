//! The command line.

mod backup;
mod module;
mod publisher;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use selena_types::{DeviceId, EventPattern};

pub(crate) use backup::{BackupCommand, BackupKey, BackupLock};
pub(crate) use module::{DevArgs, Language, ModuleCommand, Name, NewArgs, PrivateText};
pub(crate) use publisher::{AddArgs, PublisherCommand, RotationArgs};

/// Exit codes, below every help text that has a list of commands.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 a person has to consent first.";

/// Above the options that every command has.
const EVERYWHERE: &str = "Options of all commands";

/// Look after a Selena hub, and make modules for it.
#[derive(Debug, Parser)]
#[command(name = "selenactl", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// The hub's admin socket.
    #[arg(
        long,
        global = true,
        env = "SELENA_ADMIN_SOCKET",
        value_name = "PATH",
        default_value = "/run/selena/admin.sock",
        help_heading = EVERYWHERE
    )]
    pub(crate) socket: PathBuf,
    /// Print JSON, for programs: one document, or one line per event.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make, install, start, stop and remove modules.
    #[command(subcommand)]
    Module(ModuleCommand),
    /// Say whose signatures on modules this hub believes, and make keys to sign with.
    #[command(subcommand)]
    Publisher(PublisherCommand),
    /// Make, check and restore backups of a module or the whole hub.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// See devices and set their state.
    #[command(subcommand)]
    Device(DeviceCommand),
    /// See what happens.
    #[command(subcommand)]
    Events(EventsCommand),
    /// What hub this is: version, hardware, storage.
    Info,
    /// Whether the hub is well; ends with 1 if it is in SAFE MODE.
    Health {
        /// End with 1 also unless the integrity agent has checked the hub's files within 180 s and found them clean.
        #[arg(long)]
        checked: bool,
    },
    /// See why the hub is in SAFE MODE, and leave it.
    #[command(subcommand)]
    SafeMode(SafeModeCommand),
    /// The devices of the machine that modules can be given, and which module has which.
    HostDevices,
    /// Who uses the disk, the largest first.
    Disk,
    /// Long pieces of work: those under way, and the last that ended.
    Jobs {
        #[command(subcommand)]
        command: Option<JobsCommand>,
    },
    /// What was refused and changed, newest first.
    Audit {
        /// At most so many records.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Print the description of the hub's API, OpenAPI 3.1. Needs no hub.
    Api,
    /// Print the completion script of a shell.
    ///
    /// bash: `selenactl completions bash > ~/.local/share/bash-completion/completions/selenactl`;
    /// zsh: into a file `_selenactl` of a directory in `fpath`;
    /// fish: `selenactl completions fish > ~/.config/fish/completions/selenactl.fish`.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Cancel a job: it stops at its next step, and what it began is undone.
    Cancel {
        /// The job's number.
        id: u64,
    },
}

/// A shell that completion scripts are made for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum SafeModeCommand {
    /// What the integrity agent last found, and since when the hub is in SAFE MODE.
    Status,
    /// Leave SAFE MODE. Refused unless the agent's last check, made since it began, was clean.
    Exit,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// List all devices.
    List,
    /// Show one device.
    Show {
        /// The device's id.
        id: DeviceId,
    },
    /// Set the state of a device: what is not named stays as it is.
    Set {
        /// The device's id.
        id: DeviceId,
        /// `KEY=VALUE`, VALUE being JSON or else a text; or one JSON object.
        #[arg(required = true, value_name = "KEY=VALUE|JSON")]
        state: Vec<String>,
        /// Set the whole state: what is not named goes.
        #[arg(long)]
        replace: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Print events as they happen, until Ctrl-C.
    Tail(Tail),
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Only this type: `device.state_changed`, `device.*`.
    #[arg(long = "type", value_name = "PATTERN", value_parser = pattern)]
    pub(crate) event_type: Option<EventPattern>,
    /// Begin after this sequence number, with those that happened already.
    #[arg(long, value_name = "SEQ")]
    pub(crate) since: Option<u64>,
    /// Of those that happened already, at most so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: Option<u16>,
    /// End after so many events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

fn pattern(text: &str) -> Result<EventPattern, selena_types::EventTypeError> {
    EventPattern::new(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_here() {
        for bad in ["../system/info", "a/b", "a?b", "a%2fb", ""] {
            assert!(Cli::try_parse_from(["selenactl", "module", "show", bad]).is_err(), "{bad:?}");
        }
    }
}
