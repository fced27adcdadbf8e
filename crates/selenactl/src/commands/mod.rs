//! What each command does: ask the hub, show its answer.

mod author;
mod backup;
mod config;
mod consent;
mod devices;
mod disk;
mod events;
mod host_devices;
mod install;
mod jobs;
mod modules;
mod new;
mod progress;
mod publishers;
mod sign;
mod system;

use std::process::ExitCode;

use crate::{
    cli::{Command, EventsCommand, SafeModeCommand},
    client::Client,
    error::CtlError,
    screen::Screen,
};

/// How a command ended that was understood and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done: exit code 0.
    Done,
    /// It was tried and failed, which was told: 1.
    Failed,
    /// A person has to consent first: 3.
    AwaitingConsent,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::AwaitingConsent => 3,
        })
    }
}

/// Runs a command.
pub(crate) async fn run(command: Command, client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    match command {
        Command::Module(command) => modules::run(command, client, screen).await,
        Command::Publisher(command) => publishers::run(command, client, screen).await,
        Command::Backup(command) => backup::run(command, client, screen).await,
        Command::Device(command) => devices::run(command, client, screen).await,
        Command::Events(EventsCommand::Tail(tail)) => events::tail(tail, client, screen).await,
        Command::Info => system::show("/system/info", client, screen).await,
        Command::Health { checked } => system::health(checked, client, screen).await,
        Command::SafeMode(SafeModeCommand::Status) => system::show("/integrity/status", client, screen).await,
        Command::SafeMode(SafeModeCommand::Exit) => system::exit_safe_mode(client, screen).await,
        Command::HostDevices => host_devices::list(client, screen).await,
        Command::Disk => disk::show(client, screen).await,
        Command::Jobs { command } => jobs::run(command, client, screen).await,
        Command::Audit { limit } => system::audit(limit, client, screen).await,
        Command::Api => system::api(screen),
        Command::Completions { shell } => system::completions(shell, screen),
    }
}
