//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use selena_types::{DeviceId, EventPattern, ModuleName};

/// Look after a Selena hub: its modules, devices and events.
#[derive(Debug, Parser)]
#[command(name = "selenactl", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// The hub's admin socket.
    #[arg(
        long,
        global = true,
        env = "SELENA_ADMIN_SOCKET",
        value_name = "PATH",
        default_value = "/run/selena/admin.sock"
    )]
    pub(crate) socket: PathBuf,
    /// Print the hub's JSON, for programs: one document, or one line per event.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Install, start, stop and remove modules.
    #[command(subcommand)]
    Module(ModuleCommand),
    /// See devices and set their state.
    #[command(subcommand)]
    Device(DeviceCommand),
    /// See what happens.
    #[command(subcommand)]
    Events(EventsCommand),
    /// What hub this is: version, hardware, storage.
    Info,
    /// Whether the hub is well.
    Health,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModuleCommand {
    /// Install a package, or update the module it holds. Exit code 3: a person has to consent first.
    Install {
        /// The package.
        #[arg(value_name = "FILE.zip")]
        file: PathBuf,
    },
    /// List the installed modules.
    List,
    /// Show one module.
    Show(Name),
    /// Start a module.
    Start(Name),
    /// Stop a module until a person starts it again.
    Stop(Name),
    /// Stop and start a module.
    Restart(Name),
    /// Remove a module with its data, settings and tokens. Its devices stay.
    Remove {
        #[command(flatten)]
        name: Name,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Print the last output of a module.
    Logs(Name),
    /// Grant what a module waits for.
    Consent {
        #[command(flatten)]
        name: Name,
        /// Do not ask: grant all it waits for.
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Name {
    /// The module's name.
    #[arg(value_name = "NAME")]
    pub(crate) name: ModuleName,
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
