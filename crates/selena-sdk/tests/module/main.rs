//! Modules of the SDK beside a hub in memory.

mod client;
mod environment;
mod events;
mod pages;
mod trouble;

use std::{
    sync::mpsc::{self, Receiver},
    thread,
};

use selena_sdk::{Hub, Module, Result, RunError};
use selena_testkit::FakeHub;

/// A manifest that grants all a driver may have.
const DRIVER: &str = r#"{
    "name": "probe", "version": "1.0.0", "type": "DRIVER", "api_version": "1.0", "port": 8100, "runtime": "static",
    "permissions": ["device.read", "device.write", "events.subscribe", "events.publish"],
    "events": { "subscribe": ["device.*", "test.*"], "publish": ["probe.*"] },
    "config_schema": { "type": "object", "properties": { "step": { "type": "integer" } } }
}"#;

/// Runs a module on a thread of its own, as a process would; tells how it ended, if it does.
fn run(
    hub: &FakeHub,
    build: impl FnOnce(Module) -> Module + Send + 'static,
    main: impl AsyncFnOnce(Hub) -> Result + Send + 'static,
) -> Receiver<String> {
    let (ended, end) = mpsc::channel();
    let variables = hub.env();
    thread::spawn(move || {
        let outcome = Module::from_vars(variables).map_err(RunError::from).and_then(|module| build(module).run(main));
        // Nobody may wait for it.
        let _nobody_waits = ended.send(format!("{outcome:?}"));
    });
    end
}

/// How a module ended.
async fn end_of(end: Receiver<String>) -> String {
    let end = tokio::task::spawn_blocking(move || end.recv_timeout(std::time::Duration::from_secs(10)));
    end.await.expect("waiting does not panic").expect("the module ends")
}
