//! The secrets of a backup: opened with the hub's key on one side, and sealed with another hub's key on the other.
//! Between the two they are nowhere but in memory and within the envelope.

use selena_types::{ModuleName, Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::BackupError;

/// A provider's token of a module, as the vault keeps it.
#[derive(Debug)]
pub struct KeptToken {
    /// The module.
    pub module: ModuleName,
    /// The provider.
    pub provider: String,
    /// What the vault keeps.
    pub secret: Secret,
}

/// All secrets of a backup.
#[derive(Debug, Default)]
pub struct KeptSecrets {
    /// The webhook secret of each module.
    pub webhooks: Vec<(ModuleName, Secret)>,
    /// The tokens of the vault.
    pub tokens: Vec<KeptToken>,
}

#[derive(Serialize)]
struct Written<'a> {
    webhooks: Vec<WrittenWebhook<'a>>,
    tokens: Vec<WrittenToken<'a>>,
}

#[derive(Serialize)]
struct WrittenWebhook<'a> {
    module: &'a ModuleName,
    secret: &'a str,
}

#[derive(Serialize)]
struct WrittenToken<'a> {
    module: &'a ModuleName,
    provider: &'a str,
    secret: &'a str,
}

#[derive(Deserialize)]
struct Found {
    webhooks: Vec<FoundWebhook>,
    tokens: Vec<FoundToken>,
}

#[derive(Deserialize)]
struct FoundWebhook {
    module: ModuleName,
    secret: String,
}

#[derive(Deserialize)]
struct FoundToken {
    module: ModuleName,
    provider: String,
    secret: String,
}

impl KeptSecrets {
    /// The part's text.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let webhooks = self.webhooks.iter();
        let webhooks = webhooks.map(|(module, secret)| WrittenWebhook { module, secret: secret.expose() });
        let tokens = self.tokens.iter();
        let tokens = tokens.map(|token| WrittenToken {
            module: &token.module,
            provider: &token.provider,
            secret: token.secret.expose(),
        });
        let written = Written { webhooks: webhooks.collect(), tokens: tokens.collect() };
        Zeroizing::new(serde_json::to_vec(&written).expect("texts and names are JSON"))
    }

    /// Reads the part's text.
    ///
    /// # Errors
    /// [`BackupError::Malformed`], without a word of what it holds.
    pub fn from_json(text: &[u8]) -> Result<Self, BackupError> {
        // The error of a parser may quote what it read.
        let found: Found = serde_json::from_slice(text)
            .map_err(|_| BackupError::Malformed("its secrets.json is no list of secrets".to_owned()))?;
        let webhooks = found.webhooks.into_iter().map(|found| (found.module, Secret::new(found.secret)));
        let tokens = found.tokens.into_iter().map(|found| KeptToken {
            module: found.module,
            provider: found.provider,
            secret: Secret::new(found.secret),
        });
        Ok(Self { webhooks: webhooks.collect(), tokens: tokens.collect() })
    }
}
