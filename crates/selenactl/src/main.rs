//! `selenactl`: the hub's command line for technicians and module authors.
//!
//! Of the hub it speaks the HTTP API (protocol, section 5) over the admin socket, and nothing else: it knows nothing of
//! the hub's database, of Docker, or of its disk. What authors do before there is anything to install needs no hub:
//! [`scaffold`] makes a module, [`package`] checks and packs one, [`dev`] runs one as a plain process.
//! Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 a person has to consent first.
//! All that is printed goes through [`screen::Screen`], which lets no control character of a module's text out.

mod cli;
mod client;
mod commands;
mod dev;
mod early_answer;
mod error;
mod keys;
mod package;
mod report;
mod scaffold;
mod screen;
mod sse;
mod table;
mod value;
mod visible;

use std::process::ExitCode;

use clap::Parser;

use crate::{cli::Cli, client::Client, commands::Outcome, error::CtlError, screen::Screen};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut screen = Screen::new(cli.json);
    let client = Client::new(cli.socket);
    match commands::run(cli.command, &client, &mut screen).await {
        Ok(outcome) => outcome.into(),
        // Who reads our output has had enough of it, as `head` does.
        Err(error) if error.is_broken_pipe() => Outcome::Done.into(),
        Err(error) => {
            screen.failure(&error);
            ExitCode::from(if matches!(error, CtlError::Usage(_)) { 2 } else { 1 })
        }
    }
}
