//! A module for the black-box tests of the hub. It does what modules do: it answers `GET /health`, subscribes at its
//! start, and keeps the webhooks it gets. Besides, it tells what it sees from inside (`POST /act`), and misbehaves on
//! demand. It knows nothing of the hub's crates.

mod acts;
mod attempts;
mod core_client;
mod device;
mod exhaust;
mod server;
mod syscall;
mod trouble;

use std::{env, fs, net::TcpListener, process::ExitCode, thread};

use serde_json::{Value, json};

use crate::server::Server;

/// Says how this package starts; written by the test that packed it.
const START_FILE: &str = "/app/start.json";
/// What an old version leaves for the new one.
pub(crate) const NOTES: &str = "/data/notes";

fn main() -> ExitCode {
    let start = fs::read(START_FILE).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or(json!({}));
    attempts::make(&start);
    if let Some(code) = trouble::before_serving(&start) {
        return ExitCode::from(code);
    }
    match serve(&start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the probe gives up: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(start: &Value) -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = env::var("SELENA_MODULE_PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let server = thread::spawn(move || Server::default().run(&listener));
    if start["do"] == "exhaust" {
        exhaust::all(start);
    }
    if let Some(patterns) = start.get("subscribe") {
        core_client::subscribe(port, patterns)?;
    }
    server.join().map_err(|_| "the server panicked".into())
}
