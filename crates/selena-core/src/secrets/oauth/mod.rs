//! Signing in to providers by the device flow, and the tokens it gives (protocol, section 7; RFC 8628).
//!
//! The module asks, a person agrees at the provider, the hub polls and keeps the tokens: no module ever sees one.
//! [`OAuth`] holds sign-ins ([`signing_in`]) and tokens ([`keeping`]); both are bound to what the manifest said of the
//! provider when they were begun, so that an update which changes that starts from nothing.

mod device;
mod exchange;
mod fields;
mod forget;
mod grant;
mod keeping;
mod pace;
mod poll;
mod qr;
mod session;
mod signing_in;
mod tokens;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, Weak},
};

use selena_types::{ModuleName, OAuthProvider};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::kept::Kept;
use crate::{
    ApiError,
    audit::Audit,
    ports::{Https, Sealer, Store, Vault},
};

use keeping::Entry;
use session::Status;

/// What the installed modules' manifests say of providers.
pub trait Providers: fmt::Debug + Send + Sync + 'static {
    /// A provider of an installed module; `None` if there is no such module, or its manifest does not name it.
    fn provider(&self, module: &ModuleName, provider: &str) -> Option<OAuthProvider>;
}

/// What signing in works with.
#[derive(Debug)]
pub struct OAuthParts {
    /// Sign-ins, counters and events.
    pub store: Arc<dyn Store>,
    /// Seals sign-ins.
    pub sealer: Arc<dyn Sealer>,
    /// Keeps tokens.
    pub vault: Arc<dyn Vault>,
    /// Reaches providers.
    pub https: Arc<dyn Https>,
    /// The manifests.
    pub providers: Arc<dyn Providers>,
}

const NO_PROVIDER: ApiError = ApiError::NotFound("this provider in `oauth` of the module's manifest");

/// A module and a provider of its.
type Place = (ModuleName, String);

/// Sign-ins and tokens of all modules.
#[derive(Debug)]
pub struct OAuth {
    /// For work that goes on though nobody waits for it any more.
    this: Weak<Self>,
    sealer: Arc<dyn Sealer>,
    https: Arc<dyn Https>,
    providers: Arc<dyn Providers>,
    kept: Kept,
    audit: Audit,
    sessions: Mutex<BTreeMap<Place, Known>>,
    /// Where a provider is being asked to begin.
    starting: Mutex<BTreeSet<Place>>,
    entries: Mutex<BTreeMap<Place, Arc<Entry>>>,
    /// Something is to be refreshed earlier than was known.
    earlier: Notify,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

/// What is known in memory of a sign-in.
#[derive(Clone, Debug)]
struct Known {
    id: String,
    status: Status,
    rights: String,
    /// Ends its polling.
    cancel: CancellationToken,
    /// Its polling has ended, and nothing is written for it any more.
    ended: CancellationToken,
}

impl OAuth {
    /// With the sign-ins that are in the store; those that are pending go on being polled. While the sealing key changes,
    /// they are sealed again with the newest.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn load(parts: OAuthParts) -> Result<Arc<Self>, ApiError> {
        let oauth = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            sealer: parts.sealer,
            https: parts.https,
            providers: parts.providers,
            audit: Audit::new(parts.store.clone()),
            kept: Kept { store: parts.store, vault: parts.vault },
            sessions: Mutex::default(),
            starting: Mutex::default(),
            entries: Mutex::default(),
            earlier: Notify::new(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        if oauth.kept.vault.is_changing_keys() {
            oauth.seal_sessions_again().await?;
        }
        oauth.load_sessions().await?;
        Ok(oauth)
    }

    /// `GET /secrets/oauth/status`: how the module's sign-in stands.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] if none was ever begun, or the manifest does not name the provider (any more).
    pub fn status(
        &self,
        module: &ModuleName,
        providers: &BTreeMap<String, OAuthProvider>,
        provider: &str,
    ) -> Result<Value, ApiError> {
        let config = providers.get(provider).ok_or(NO_PROVIDER)?;
        let known = self.sessions.lock().expect("nothing panics while it holds the sign-ins");
        let known = known.get(&(module.clone(), provider.to_owned())).filter(|known| known.rights == rights(config));
        let known = known.ok_or(ApiError::NotFound("a sign-in at this provider"))?;
        Ok(json!({ "provider": provider, "status": known.status.as_str(), "session_id": known.id }))
    }

    /// Ends polling and refreshing, and waits until what was begun is done.
    pub async fn shut_down(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.audit.flush();
    }

    /// Writes the counts of the audit log that are still in memory.
    pub(crate) fn flush_audit(&self) {
        self.audit.flush();
    }

    /// Records what happened to a module's sign-in or tokens.
    fn record(&self, event: &str, (module, provider): &Place, detail: &str) {
        self.audit.record(event, module.as_str(), &format!("{provider}: {detail}"));
    }
}

/// A digest of all of a provider that decides where tokens come from and go to.
fn rights(provider: &OAuthProvider) -> String {
    hex::encode(Sha256::digest(provider.rights().to_string()))
}
