//! The integrity agent (protocol, section 8.2): it watches files, restores them, and brings about SAFE MODE.
//!
//! A process of its own that works when core, Docker and database are all dead: it knows files, Docker's command line, and
//! one HTTP request. It shares no code with the core but [`selena_manifest`] and [`selena_runtime`].
//! In the order of a check: `store` reads the signed baseline, `check` compares, `respond` acts: `containers`, `core_api`,
//! `restore`, `restart`, `published`. What was tried is in `memory`. The decisions behind it stand in the README of this crate.

mod arguments;
mod check;
mod clock;
mod containers;
mod core_api;
mod durable;
mod image;
mod keys;
mod look;
mod maintenance;
mod memory;
mod places;
mod priority;
mod published;
mod record;
mod report;
mod respond;
mod restart;
mod restore;
mod secure_file;
mod store;
mod tasks;
mod waits;

use std::process::ExitCode;

use anyhow::Context;
use arguments::Arguments;
use clap::{Parser, error::ErrorKind};
use places::Places;
use selena_runtime::{Exit, exit, journal};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody is left to be told that the terminal is closed.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Not 2, as is usual: that is a violation.
            return if asked { Exit::Ok } else { Exit::Config }.into();
        }
    };
    let places = match configure(&arguments) {
        Ok(places) => places,
        Err(error) => {
            exit::report(error.as_ref());
            return Exit::Config.into();
        }
    };
    tasks::perform(&arguments, places).unwrap_or_else(|error| {
        exit::report(error.as_ref());
        Exit::Failure.into()
    })
}

fn configure(arguments: &Arguments) -> anyhow::Result<Places> {
    journal::init(&arguments.log_level).context("cannot begin to log")?;
    Places::new(&arguments.secure_dir, &arguments.data_dir, &arguments.signing_key)
}
