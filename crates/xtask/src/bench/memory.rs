//! Memory of the core: what it holds alone, or shares with others by its part.

use std::{path::Path, time::Duration};

use super::{
    hub::{self, Hub},
    ready,
    table::Row,
};

const IDLE_GOAL_MB: f64 = 10.0;
const AFTER_GOAL_MB: f64 = 20.0;

/// The hub without modules and devices, left alone since its start.
pub(super) async fn idle(hub: &Hub, body: &Path, wait: Duration) -> anyhow::Result<Row> {
    let (bare, _) = ready::bare(body).await?;
    // This wait is what is measured: memory a program gives back or takes after its start.
    tokio::time::sleep(wait).await;
    let (ours, peer) = (hub.pss_mb()?, hub::pss_mb(bare.pid()?)?);
    Ok(Row {
        what: format!("memory (PSS) {} s after the start, no modules", wait.as_secs()),
        ours: format!("{ours:.1} MB"),
        peer: format!("bare axum server: {peer:.1} MB"),
        ratio: Some(ours / peer),
        goal: "≤ 10 MB",
        reached: Some(ours <= IDLE_GOAL_MB),
        figures: [("ours_mb", ours), ("bare_server_mb", peer)].into(),
    })
}

/// The same hub after all that was measured on it.
pub(super) fn after(hub: &Hub) -> anyhow::Result<Row> {
    let ours = hub.pss_mb()?;
    Ok(Row {
        what: "memory (PSS) after the whole benchmark, 100 devices".to_owned(),
        ours: format!("{ours:.1} MB"),
        goal: "≤ 20 MB",
        reached: Some(ours <= AFTER_GOAL_MB),
        figures: [("ours_mb", ours)].into(),
        ..Row::default()
    })
}
