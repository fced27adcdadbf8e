//! Sample module: a lamp that is on while a thermometer says it is cold.
//!
//! It holds one `actuator` device, is told of every state change by signed webhooks, and switches itself.
//! Dependency-light on purpose: it shows the protocol itself, where a module author would use the SDK.
//! It knows nothing of the hub's crates.

mod core_client;
mod http;
mod lamp;
mod signature;
mod thermostat;

use std::error::Error;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, thread};

use crate::core_client::CoreClient;
use crate::lamp::Lamp;
use crate::signature::WebhookSecret;

/// A plain line in the module's log.
fn log(line: &str) {
    // A log that cannot be written must not stop the lamp.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

fn env(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}

fn run() -> Result<(), Box<dyn Error>> {
    let core = CoreClient::new(&env("SELENA_CORE_URL")?, &env("SELENA_MODULE_TOKEN")?)?;
    let secret = WebhookSecret::new(&env("SELENA_WEBHOOK_SECRET")?);
    let port = env("SELENA_MODULE_PORT")?.parse()?;
    let lamp = Arc::new(Lamp::new(core, secret));
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let server = thread::spawn({
        let lamp = Arc::clone(&lamp);
        move || http::serve(&listener, &lamp)
    });
    // The hub asks for health from the first moment on, so the server comes first.
    lamp.register(&env("SELENA_MODULE_NAME")?, port)?;
    server.join().map_err(|_| "the server panicked".into())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&format!("giving up: {error}"));
            ExitCode::FAILURE
        }
    }
}
