//! Announced changes of the hub's own files, told as events (protocol, sections 6 and 8.2).

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{Api, append};
use crate::{
    ApiError,
    transact::{read, write},
};

/// How often it is looked at what the integrity agent says; the agent itself looks every minute.
const LOOK: Duration = Duration::from_secs(5);
/// The setting that holds who has announced what was told last; empty if that is over.
const TOLD: &str = "maintenance";

impl Api {
    /// Publishes `core.maintenance_started` and `core.maintenance_completed` when a change of the hub's files that the
    /// integrity agent believes begins and ends, each once over all starts of the hub; never returns.
    pub async fn keep_maintenance(self: Arc<Self>) {
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            if let Err(error) = self.follow_maintenance().await {
                tracing::error!(error = &error as &dyn std::error::Error, "maintenance was not told of: tried again");
            }
        }
    }

    async fn follow_maintenance(&self) -> Result<(), ApiError> {
        // While the agent says nothing, nothing has begun or ended.
        let Some(now) = self.integrity.maintenance() else { return Ok(()) };
        let told = read(&self.store, |rows| rows.setting(TOLD)).await?.filter(|by| !by.is_empty());
        if now == told {
            return Ok(());
        }
        write(&self.store, move |tx| {
            let mut tell = |event_type, by| append(tx, event_type, "core", json!({ "reason": by })).map(|_| ());
            if let Some(by) = &told {
                tell("core.maintenance_completed", by)?;
            }
            if let Some(by) = &now {
                tell("core.maintenance_started", by)?;
            }
            Ok(tx.put_setting(TOLD, now.as_deref().unwrap_or_default())?)
        })
        .await
    }
}
