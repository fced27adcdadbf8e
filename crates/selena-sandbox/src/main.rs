//! The hub's privileged program: it alone talks to Docker and enters network namespaces, for the one core that its
//! settings name. Wiring only; what it does for a core is in the library, and what it refuses in `confinement.rs`.

mod program;

use std::process::ExitCode;

use clap::Parser;
use program::{Arguments, Places};
use selena_runtime::{Exit, exit, sockets::PassedSockets};

fn main() -> ExitCode {
    let passed = PassedSockets::receive();
    let arguments = Arguments::parse();
    let configured = passed.map_err(anyhow::Error::from).and_then(|passed| Ok((passed, Places::new(&arguments)?)));
    let (passed, places) = match configured {
        Ok(configured) => configured,
        Err(error) => {
            exit::report(error.as_ref());
            return Exit::Config.into();
        }
    };
    match program::run(places, passed) {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            exit::report(error.as_ref());
            Exit::Failure.into()
        }
    }
}
