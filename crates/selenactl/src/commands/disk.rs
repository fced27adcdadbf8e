//! `disk`: who uses the disk, so that it is known what to remove.

use serde_json::Value;

use super::Outcome;
use crate::{
    client::Client,
    error::CtlError,
    screen::Screen,
    table::Table,
    value::{plain, size},
};

/// Shows all uses, and what is left.
pub(super) async fn show(client: &Client, screen: &mut Screen) -> Result<Outcome, CtlError> {
    let answer = client.get("/system/disk").await?;
    screen.answer(&answer, |screen| {
        screen.table(&uses(&answer))?;
        screen.line("")?;
        screen.table(&space(&answer))
    })?;
    Ok(Outcome::Done)
}

fn bytes(value: &Value) -> String {
    value.as_u64().map(size).unwrap_or_default()
}

/// What it is made of comes last, where it is not cut.
fn uses(answer: &Value) -> Table {
    let mut table = Table::new(["SIZE", "OF", "NAME", "DATA USED", "PARTS"]);
    for one in answer["uses"].as_array().into_iter().flatten() {
        let mut parts: Vec<_> = one["parts"].as_object().into_iter().flatten().collect();
        parts.sort_by_key(|(_, value)| std::cmp::Reverse(value.as_u64()));
        let parts: Vec<_> =
            parts.iter().map(|(name, value)| format!("{} {}", name.replace('_', " "), bytes(value))).collect();
        let [owner, name] = ["owner", "name"].map(|key| plain(&one[key]));
        table.row([&bytes(&one["bytes"]), &owner, &name, &bytes(&one["data_used_bytes"]), &parts.join(", ")]);
    }
    table
}

fn space(answer: &Value) -> Table {
    let mut table = Table::plain();
    for (key, what) in [
        ("free_bytes", "free"),
        ("promised_bytes", "of it promised to modules that have not taken it"),
        ("kept_free_bytes", "of it kept for the hub"),
        ("total_bytes", "the whole disk"),
    ] {
        table.row([&bytes(&answer[key]), what]);
    }
    let engine = plain(&answer["engine"]);
    if !engine.is_empty() {
        table.row(["?", &format!("images and logs of modules: {engine}")]);
    }
    table
}
