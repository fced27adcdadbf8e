//! Sealing again what a key seals that is about to go (faults, W05).

use secrecy::zeroize::Zeroizing;

use super::{ModuleRecord, Modules, launch::secret_context};
use crate::ApiError;

impl Modules {
    /// Seals the webhook secrets of all modules with the newest key.
    ///
    /// # Errors
    /// The store's; then the key before has to be kept, and this can be done again.
    pub async fn seal_again(&self) -> Result<(), ApiError> {
        for slot in self.all_slots() {
            let _live = slot.live.lock().await;
            let record = slot.record();
            let context = secret_context(&record);
            // What no key opens is lost whichever is kept; the module's start says so.
            let Ok(secret) = self.parts.sealer.open(&context, &record.webhook_secret).map(Zeroizing::new) else {
                continue;
            };
            let webhook_secret = self.parts.sealer.seal(&context, &secret).map_err(ApiError::internal)?;
            self.store(&slot, ModuleRecord { webhook_secret, ..record }, Vec::new()).await?;
        }
        Ok(())
    }
}
