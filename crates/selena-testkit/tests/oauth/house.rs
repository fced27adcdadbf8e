//! A hub's part that signs in, over files and a database that outlive it.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use selena_core::{
    Credentials, CredentialsError, OAuth, OAuthParts, Providers,
    ports::{EventQuery, Job, Rows, Store, StoreError, StoredSecret, Vault, VaultError},
};
use selena_store::Sqlite;
use selena_types::{AuditRecord, ModuleName, OAuthProvider, Secret};
use selena_vault::FileKeySealer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::provider::{Provider, config, tokens};

/// What is there while the hub is not.
pub(crate) struct House {
    dir: TempDir,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) provider: Arc<Provider>,
    pub(crate) manifests: Arc<Manifests>,
    /// While it is set, nothing can be written to the vault.
    pub(crate) full: Arc<AtomicBool>,
}

/// The manifests of installed modules.
#[derive(Debug, Default)]
pub(crate) struct Manifests(Mutex<BTreeMap<ModuleName, BTreeMap<String, OAuthProvider>>>);

impl Manifests {
    pub(crate) fn set(&self, module: &str, providers: BTreeMap<String, OAuthProvider>) {
        self.0.lock().unwrap().insert(name(module), providers);
    }
}

impl Providers for Manifests {
    fn provider(&self, module: &ModuleName, provider: &str) -> Option<OAuthProvider> {
        self.0.lock().unwrap().get(module)?.get(provider).cloned()
    }
}

/// A vault on a disk that may be full.
#[derive(Debug)]
struct Disk {
    vault: selena_vault::FileVault,
    full: Arc<AtomicBool>,
}

impl Vault for Disk {
    fn read(&self, module: &ModuleName, provider: &str) -> Result<Option<StoredSecret>, VaultError> {
        self.vault.read(module, provider)
    }
    fn write(&self, module: &ModuleName, provider: &str, counter: u64, secret: &Secret) -> Result<(), VaultError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(VaultError::DiskFull);
        }
        self.vault.write(module, provider, counter, secret)
    }
    fn delete(&self, module: &ModuleName, provider: &str) -> Result<(), VaultError> {
        self.vault.delete(module, provider)
    }
    fn delete_module(&self, module: &ModuleName) -> Result<(), VaultError> {
        self.vault.delete_module(module)
    }
    fn places(&self) -> Result<Vec<(ModuleName, String)>, VaultError> {
        self.vault.places()
    }
    fn is_changing_keys(&self) -> bool {
        self.vault.is_changing_keys()
    }
    fn begin_key_change(&self) -> Result<(), VaultError> {
        self.vault.begin_key_change()
    }
    fn end_key_change(&self) -> Result<(), VaultError> {
        self.vault.end_key_change()
    }
}

pub(crate) fn name(module: &str) -> ModuleName {
    module.parse().unwrap()
}

pub(crate) fn providers() -> BTreeMap<String, OAuthProvider> {
    BTreeMap::from([("acme".to_owned(), config())])
}

impl House {
    /// With one installed module, `lamp`, whose manifest names `acme`.
    pub(crate) fn new() -> Self {
        let manifests = Arc::new(Manifests::default());
        manifests.set("lamp", providers());
        Self {
            dir: tempfile::tempdir().unwrap(),
            store: Arc::new(Sqlite::in_memory().unwrap()),
            provider: Arc::default(),
            manifests,
            full: Arc::default(),
        }
    }

    /// The hub starts.
    pub(crate) async fn start(&self) -> Arc<OAuth> {
        let sealer = FileKeySealer::open_or_create(self.dir.path()).unwrap();
        let vault = Disk { vault: sealer.vault(), full: self.full.clone() };
        let parts = OAuthParts {
            store: self.store.clone(),
            sealer: Arc::new(sealer),
            vault: Arc::new(vault),
            https: self.provider.clone(),
            providers: self.manifests.clone(),
        };
        OAuth::load(parts).await.unwrap()
    }

    /// A hub that was started, with tokens for `lamp` at `acme`.
    pub(crate) async fn signed_in(&self, first: Value) -> Arc<OAuth> {
        let oauth = self.start().await;
        self.provider.decides(&[first]);
        start(&oauth).await;
        until("the sign-in is completed", || status(&oauth) == "completed").await;
        oauth
    }

    /// The same with tokens that live long.
    pub(crate) async fn signed_in_for_long(&self) -> Arc<OAuth> {
        self.signed_in(tokens("canary-access", "canary-refresh", 3600)).await
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("tokens/lamp/acme.enc")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir.path().join("hub.key")
    }

    /// Whether a text is anywhere in the secure directory.
    pub(crate) fn holds(&self, text: &str) -> bool {
        fn search(dir: &std::path::Path, text: &str) -> bool {
            fs::read_dir(dir).unwrap().any(|entry| {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    return search(&path, text);
                }
                fs::read(path).unwrap().windows(text.len()).any(|part| part == text.as_bytes())
            })
        }
        search(self.dir.path(), text)
    }

    /// The audit records of a kind.
    pub(crate) async fn audit(&self, event: &str) -> Vec<AuditRecord> {
        let all = self.read(|rows| rows.audit(1000)).await;
        all.into_iter().filter(|record| record.event == event).collect()
    }

    /// The payloads of the events of a type.
    pub(crate) async fn events(&self, event_type: &'static str) -> Vec<Value> {
        let wanted: Box<dyn Fn(&selena_types::EventType) -> bool + Send> =
            Box::new(move |found| found.as_str() == event_type);
        let query = EventQuery { since_seq: 0, limit: 100, max_bytes: 1 << 20, max_scan: 1000, wanted };
        let page = self.read(move |rows| rows.events_page(&query)).await;
        page.events.into_iter().map(|event| event.payload).collect()
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Rows) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        // What was written before is there when a write that came after it is.
        let (done, settled) = tokio::sync::oneshot::channel();
        self.store.write(Job { run: Box::new(|_| Ok(())), done: Box::new(|outcome| drop(done.send(outcome))) });
        settled.await.unwrap().unwrap();
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.store.read(Box::new(move |rows| drop(answer.send(work(rows.unwrap())))));
        answered.await.unwrap().unwrap()
    }
}

/// `lamp` begins to sign in at `acme`.
pub(crate) async fn start(oauth: &Arc<OAuth>) -> Value {
    oauth.start(&name("lamp"), &providers(), &json!({ "provider": "acme", "scopes": ["read"] })).await.unwrap()
}

/// How that stands; an error's text if there is none.
pub(crate) fn status(oauth: &OAuth) -> String {
    match oauth.status(&name("lamp"), &providers(), "acme") {
        Ok(answer) => answer["status"].as_str().unwrap().to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The access token `lamp` would be lent.
pub(crate) async fn access(oauth: &OAuth) -> Result<String, CredentialsError> {
    let token = oauth.access_token(&name("lamp"), "acme", &config()).await?;
    Ok(token.expose().to_owned())
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let what = what.to_owned();
    async move {
        let waiting = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .unwrap_or_else(|_| panic!("not so in 20 s: {what}"));
    }
}
