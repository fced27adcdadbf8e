//! SAFE MODE: no module runs (protocol, section 8.2).

use std::sync::Arc;

use selena_types::ModuleState;

use super::{ModuleRecord, Modules, about, slot::Slot};
use crate::ApiError;

impl Modules {
    /// Stops every run, each in a task of its own; what is stored of their being wanted stays.
    ///
    /// A start that is under way finds the mode before it makes a container, or is found here once it has its lock.
    pub(crate) fn stop_for_safe_mode(self: &Arc<Self>) {
        for slot in self.all_slots() {
            let modules = self.clone();
            self.tasks.spawn(async move {
                let outcome = modules.hold(&slot).await;
                modules.log_unsaved(&slot, outcome);
            });
        }
    }

    async fn hold(&self, slot: &Slot) -> Result<(), ApiError> {
        let mut live = slot.live.lock().await;
        // SAFE MODE may be over before the lock was had.
        if self.parts.api.integrity().safe_mode().is_none() {
            return Ok(());
        }
        let waited = live.retry.take().inspect(tokio_util::sync::CancellationToken::cancel).is_some();
        match live.active.take() {
            Some(active) => self.end_or_later(&active).await,
            None if waited => {}
            None => return Ok(()),
        }
        self.save_held(slot).await
    }

    /// Stores that a module waits for the end of SAFE MODE.
    pub(super) async fn save_held(&self, slot: &Slot) -> Result<(), ApiError> {
        let why = "the hub is in SAFE MODE";
        let held = ModuleRecord {
            state: ModuleState::Ready,
            error: Some(format!("{why}: it starts again when that ends")),
            ..slot.record()
        };
        let event = ("module.stopped", about(&held, Some(why)));
        self.save(slot, held, vec![event]).await
    }

    /// Starts what should run, now that SAFE MODE is over.
    pub(crate) fn start_after_safe_mode(self: &Arc<Self>) {
        self.reconcile_in_background();
    }
}
