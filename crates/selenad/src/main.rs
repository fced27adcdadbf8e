//! The hub's core daemon: wiring only. It loads its settings, opens the store, binds its doors, runs, and drains.

mod adapters;
mod again;
mod arguments;
mod doors;
mod hub;
mod memory;
mod places;
mod pulse;

use std::process::ExitCode;

use anyhow::Context;
use arguments::Arguments;
use clap::Parser;
use hub::Ended;
use places::Places;
use selena_runtime::{exit, exit::Exit, journal, release, settings, sockets::PassedSockets};

/// Where an image says what it is.
const OS_RELEASE: &str = "/etc/os-release";

fn main() -> ExitCode {
    let passed = PassedSockets::receive();
    let arguments = Arguments::parse();
    let configured = passed.map_err(anyhow::Error::from).and_then(|passed| Ok((configure(&arguments)?, passed)));
    let (places, passed) = match configured {
        Ok(configured) => configured,
        Err(error) => {
            exit::report(error.as_ref());
            return Exit::Config.into();
        }
    };
    match run(places, passed) {
        Ok(exit) => exit.into(),
        Err(error) => {
            exit::report(error.as_ref());
            Exit::Failure.into()
        }
    }
}

/// All that can be wrong with the configuration, found before any port is bound.
fn configure(arguments: &Arguments) -> anyhow::Result<Places> {
    memory::keep_private()?;
    memory::take_descriptors()?;
    if arguments.dev && is_release()? {
        anyhow::bail!("--dev is not for release images: this system's VARIANT_ID is `release`");
    }
    let settings = settings::Settings::load(arguments.config.as_deref(), &settings::variable)?;
    journal::init(&settings.log_level).context("cannot begin to log")?;
    Places::new(arguments, settings)
}

/// A system that does not say what it is is none of our images; one that cannot be asked may be.
fn is_release() -> anyhow::Result<bool> {
    match release::is_release(OS_RELEASE.as_ref()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot read {OS_RELEASE}, which says whether --dev is allowed"))
        }
        answer => Ok(answer.unwrap_or(false)),
    }
}

fn run(places: Places, passed: PassedSockets) -> anyhow::Result<Exit> {
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let outcome = runtime.block_on(hub::run(places, passed));
    // Work that still blocks, such as a copy, does not hold up the end.
    runtime.shutdown_background();
    match outcome? {
        Ended::Told => Ok(Exit::Ok),
        Ended::StartedBySystemd => Ok(Exit::Again),
        Ended::Again(again) => match again.start()? {},
    }
}
