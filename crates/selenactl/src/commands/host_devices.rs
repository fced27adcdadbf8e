//! `host-devices`, and the devices of one module in `module show`.

use serde_json::Value;

use super::Outcome;
use crate::{client::Client, error::CtlError, screen::Screen, table::Table, value::plain};

/// Shows the devices of the machine that modules can be given.
pub(super) async fn list(client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let answer = client.get("/system/devices").await?;
    screen.answer(&answer, |screen| screen.table(&table(&answer)))?;
    Ok(Outcome::Done)
}

/// The path comes last, where it is not cut: it is what a manifest names.
fn table(answer: &Value) -> Table {
    let mut table = Table::new(["KIND", "STATE", "MODULE", "PATH"]);
    for device in answer["devices"].as_array().into_iter().flatten() {
        let [kind, state, module] = ["kind", "state", "module"].map(|key| plain(&device[key]));
        table.row([&kind, &state, &module, &words(&device["path"], &device["detail"])]);
    }
    table
}

/// A module's devices: one line each.
pub(super) fn of_module(devices: &Value) -> Vec<String> {
    let line = |device: &Value| format!("{} {}", plain(&device["state"]), words(&device["path"], &device["detail"]));
    devices.as_array().into_iter().flatten().map(line).collect()
}

fn words(path: &Value, detail: &Value) -> String {
    let detail = plain(detail);
    if detail.is_empty() { plain(path) } else { format!("{} ({detail})", plain(path)) }
}
