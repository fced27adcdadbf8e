//! From the start of the process to the first answer of `/health`.

use std::{path::Path, time::Instant};

use anyhow::ensure;
use serde_json::Value;

use super::{
    Pace,
    helper::{self, Process},
    http::Connection,
    hub::{Hub, TOKEN},
    numbers::median,
    seed,
    table::Row,
};

/// How many modules are in the database.
const MODULES: u32 = 50;
const GOAL_MS: f64 = 50.0;

/// Starts of the hub in turns with the bare server: on a new data directory each time, and with modules installed.
pub(super) async fn rows(program: &Path, dir: &Path, body: &Path, pace: Pace) -> anyhow::Result<Vec<Row>> {
    let installed = dir.join("fifty-modules");
    Hub::start(program, &installed).await?.stop().await?;
    seed::modules(&installed, MODULES)?;
    let (mut new, mut with_modules, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..pace.starts {
        new.push(start(program, &dir.join(format!("new-{turn}")), 0).await?);
        with_modules.push(start(program, &installed, MODULES as usize).await?);
        bare.push(bare_start(body).await?);
    }
    let starts = pace.starts;
    let row = |what: String, ours: f64, bare: f64| Row {
        what,
        ours: format!("{ours:.1} ms"),
        peer: format!("bare axum server: {bare:.1} ms"),
        ratio: Some(ours / bare),
        goal: "≤ 50 ms",
        reached: Some(ours <= GOAL_MS),
        figures: [("ours_ms", ours), ("bare_server_ms", bare)].into(),
    };
    let (new, with_modules, bare) = (median(new), median(with_modules), median(bare));
    Ok(vec![
        row(format!("ready, new data directory (median of {starts} starts)"), new, bare),
        row(format!("ready, {MODULES} modules in the database (median of {starts} starts)"), with_modules, bare),
    ])
}

async fn start(program: &Path, data: &Path, modules: usize) -> anyhow::Result<f64> {
    let hub = Hub::start(program, data).await?;
    let ready = hub.ready.as_secs_f64() * 1e3;
    let mut connection = hub.connect().await?;
    let listed: Value = serde_json::from_slice(connection.get("/api/v1/modules", TOKEN).await?)?;
    ensure!(
        listed["modules"].as_array().is_some_and(|all| all.len() == modules),
        "the hub lists other modules: {listed}"
    );
    hub.stop().await?;
    Ok(ready)
}

async fn bare_start(body: &Path) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let (_process, port) = bare(body).await?;
    Connection::open(port).await?.get("/api/v1/health", TOKEN).await?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// A bare server that answers the file's bytes, and its port.
pub(super) async fn bare(body: &Path) -> anyhow::Result<(Process, u16)> {
    let mut process = Process::start(&["__bare-server", "--body", &body.to_string_lossy()])?;
    let port = helper::port(&process.line().await?)?;
    Ok((process, port))
}
