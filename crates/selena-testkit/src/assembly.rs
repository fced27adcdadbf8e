//! The hub's own parts, put together for one module.

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use selena_core::{
    Api, Development, ModuleRecord, Modules, ModulesConfig, ModulesParts,
    identity::{Caller, ModuleRun, NewRun, RequestLimits},
    ports::{ModuleCalls, RunId, Sandbox, Store, StoreError},
};
use selena_http::{Client, Server};
use selena_store::Sqlite;
use selena_types::{Manifest, ModulePort, ModuleState, ModuleType, ResourceLimits, Secret, TokenHash};
use serde_json::Value;

use crate::{
    hub_info,
    loopback::LoopbackSandbox,
    refusing::{NoDial, NoPackages, NoSealer, no_backups},
    signed::digest,
};

/// More than any module may ask for on a hub.
const LIMITS: ResourceLimits = ResourceLimits { memory_mb: 16_384, cpu: 64.0, data_mb: 16_384 };

/// The module, as the hub knows it: the same for every life of the hub in one test.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) manifest: Manifest,
    text: String,
    pub(crate) port: ModulePort,
    pub(crate) token: Secret,
    pub(crate) webhook_secret: Secret,
    run: RunId,
}

/// A hub that runs.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) api: Arc<Api>,
    pub(crate) modules: Arc<Modules>,
    pub(crate) calls: Arc<dyn ModuleCalls>,
    pub(crate) run: Arc<ModuleRun>,
    /// Another module, with all rights: what happens in the house besides.
    pub(crate) neighbour: Caller,
}

impl Guest {
    /// A module with this manifest; its port is another one.
    ///
    /// # Panics
    /// With every problem of the manifest.
    pub(crate) fn new(manifest: &str, port: ModulePort) -> Self {
        let parsed = Manifest::parse(manifest.as_bytes(), &hub_info().version, &LIMITS);
        let secret = || selena_core::new_token().expect("the operating system has random numbers");
        Self {
            manifest: parsed.unwrap_or_else(|problems| panic!("the hub refuses the manifest: {problems}")).manifest,
            text: manifest.to_owned(),
            port,
            token: secret(),
            webhook_secret: Secret::new(digest(secret().expose())),
            run: RunId(digest(secret().expose())),
        }
    }

    pub(crate) fn run_id(&self) -> &RunId {
        &self.run
    }

    fn run(&self) -> Arc<ModuleRun> {
        let new = NewRun {
            name: self.manifest.name.clone(),
            module_type: self.manifest.module_type,
            port: Some(self.port),
            permissions: self.manifest.permissions.clone(),
            events: self.manifest.events.clone(),
            oauth: self.manifest.oauth.clone(),
            run: self.run.clone(),
            webhook_secret: Secret::new(self.webhook_secret.expose().to_owned()),
            token: self.token_hash(),
            // The environment is given to the module's process itself.
            boot: Secret::new(String::new()),
        };
        Arc::new(ModuleRun::new(new, RequestLimits::Protocol))
    }

    fn token_hash(&self) -> TokenHash {
        TokenHash(digest(self.token.expose()))
    }

    /// An installed module that the hub does not start: that is the test's part.
    fn record(&self) -> ModuleRecord {
        ModuleRecord {
            name: self.manifest.name.clone(),
            version: self.manifest.version.clone(),
            module_type: self.manifest.module_type,
            runtime_mode: self.manifest.runtime_mode,
            manifest: self.text.clone(),
            has_main_py: false,
            signed_by: None,
            state: ModuleState::Stopped,
            error: None,
            port: Some(self.port),
            uid: 1000,
            wanted: false,
            webhook_secret: Vec::new(),
            token: Some(self.token_hash()),
            granted: Value::Null,
            installed_at: Timestamp::now(),
            started_at: None,
            report: None,
            crashes: Vec::new(),
            previous: None,
            on_probation: false,
            last_update: None,
        }
    }
}

/// A module that never runs: the test acts in its name.
fn neighbour() -> Caller {
    let new = NewRun {
        name: "neighbour".parse().expect("a name"),
        module_type: ModuleType::System,
        port: None,
        permissions: Vec::new(),
        events: Default::default(),
        oauth: Default::default(),
        run: RunId("neighbour".to_owned()),
        webhook_secret: Secret::new(String::new()),
        token: TokenHash(String::new()),
        boot: Secret::new(String::new()),
    };
    Caller::Module(Arc::new(ModuleRun::new(new, RequestLimits::Lifted)))
}

/// A store in memory that holds the module.
pub(crate) async fn store(guest: &Guest) -> Arc<dyn Store> {
    let store = Sqlite::in_memory().expect("a store in memory");
    let record = guest.record();
    let (done, stored) = tokio::sync::oneshot::channel();
    store.write(selena_core::ports::Job {
        run: Box::new(move |tx| tx.put_module(&record)),
        done: Box::new(|outcome| drop(done.send(outcome))),
    });
    stored.await.expect("the store answers").expect("the store takes the module");
    Arc::new(store)
}

/// A hub over a store: what was stored is known, what was only in memory is not.
pub(crate) async fn assemble(guest: &Guest, store: Arc<dyn Store>, data_dir: &Path) -> Parts {
    let sandbox: Arc<dyn Sandbox> = Arc::new(LoopbackSandbox::new(guest.run.clone()));
    let calls: Arc<dyn ModuleCalls> = Arc::new(Client::new(sandbox.clone()));
    let api = Api::new(hub_info(), store, calls.clone(), Development::default(), RequestLimits::Protocol).await;
    let api = Arc::new(api.expect("the store is readable"));
    let modules = Modules::load(ModulesParts {
        api: api.clone(),
        sandbox,
        calls: calls.clone(),
        listeners: Arc::new(Server),
        dial: Arc::new(NoDial),
        packages: Arc::new(NoPackages),
        sealer: Arc::new(NoSealer),
        memory_store: Arc::new(|| Err(StoreError::Stopped)),
        backup: no_backups(),
        config: ModulesConfig {
            data_dir: data_dir.to_owned(),
            limits: LIMITS,
            enabled: Vec::new(),
            module_config: Default::default(),
            vendor_key: None,
        },
    });
    let modules = modules.await.expect("the store is readable");
    let run = guest.run();
    Parts { api, modules, calls, run, neighbour: neighbour() }
}
