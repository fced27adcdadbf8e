//! Telling that the disk gets full, before it is (protocol, section 6, `core.disk_low`).

use std::sync::Arc;

use serde_json::json;

use super::Modules;
use crate::disk_space::space;

/// Below this part of the disk it is told.
const LOW: f64 = 0.10;
/// Above this part it may be told again.
const ENOUGH: f64 = 0.15;

/// Whether it was told already: once each time the disk gets full.
#[derive(Debug, Default)]
pub(super) struct DiskWatch {
    told: bool,
}

impl DiskWatch {
    /// Whether to tell it now.
    fn is_news(&mut self, total: u64, free: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a part of a disk need not be exact")]
        let part = free as f64 / total.max(1) as f64;
        if part > ENOUGH {
            self.told = false;
        }
        part < LOW && !std::mem::replace(&mut self.told, true)
    }
}

impl Modules {
    /// Looks at the data directory's disk. What is told of it asks the engine, and nothing waits for that.
    pub(super) fn watch_disk(self: &Arc<Self>, watch: &mut DiskWatch) {
        let Some((total, free)) = space(&self.parts.config.data_dir) else { return };
        if !watch.is_news(total, free) {
            return;
        }
        let modules = self.clone();
        self.tasks.spawn(async move {
            let largest = modules.largest_uses().await;
            tracing::warn!(free_bytes = free, total_bytes = total, %largest, "the disk is nearly full: remove a module or data");
            let payload = json!({ "free_bytes": free, "total_bytes": total, "largest": largest });
            if let Err(error) = modules.parts.api.announce("core.disk_low", payload).await {
                tracing::error!(error = &error as &dyn std::error::Error, "an event of the hub was not stored");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_gets_full_is_told_once_until_there_is_room_again() {
        let mut watch = DiskWatch::default();
        let told = [50, 9, 5, 12, 9, 16, 8].map(|free| watch.is_news(100, free));
        assert_eq!(told, [false, true, false, false, false, false, true]);
    }
}
