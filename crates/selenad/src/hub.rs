//! The hub from its first line to its last.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use selena_channel::RemoteSandbox;
use selena_core::{
    Api, BackupParts, Development, HubInfo, Modules, ModulesConfig, ModulesParts, OAuth, OAuthParts, Secrets,
    identity::RequestLimits,
    integrity::Integrity,
    ports::{DataVolumes, ListenerHost, ModuleCalls, Sandbox, Sealer, Store, StoreError, Vault},
};
use selena_http::{Client, Server, serve_admin};
use selena_runtime::{machine, notify, shutdown, sockets::PassedSockets, startup_code};
use selena_sandbox::{DockerSandbox, SandboxConfig};
use selena_store::{DataLock, Sqlite, SqliteCopies};
use selena_types::ResourceLimits;
use selena_vault::{FileKeySealer, GuardedDial};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    adapters::Packages,
    again::Again,
    doors,
    places::{DevelopmentKeys, Places},
    pulse,
};

/// How long the modules may take to stop when the hub ends.
const DRAIN: Duration = Duration::from_secs(15);

/// Why a hub ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was told to.
    Told,
    /// It has to start again, with what was restored.
    Again(Again),
    /// The same; systemd starts it, since it holds the sockets.
    StartedBySystemd,
}

/// Runs the hub until it is told to end.
pub(crate) async fn run(mut places: Places, mut passed: PassedSockets) -> anyhow::Result<Ended> {
    let ended = shutdown::listen().context("cannot listen for signals")?;
    let lock = DataLock::take(&places.data_dir)?;
    selena_core::finish_hub_restore(&places.data_dir).context("cannot put what was restored in its place")?;
    let store: Arc<dyn Store> = Arc::new(Sqlite::open_locked(&places.data_dir, lock)?);
    let is_activated = !passed.left().is_empty();
    let api_port = doors::api(passed.take("api"), places.listen)?;
    let admin = doors::admin(passed.take("admin"), &places.admin_socket)?;
    if !passed.left().is_empty() {
        tracing::warn!(sockets = ?passed.left(), "systemd passed sockets that are not known; the names are `api`, `admin`");
    }
    let (development, made_token) = development(places.development.take())?;
    let (api, modules, oauth) = assemble(&places, store, development).await?;

    announce(&api, "core.startup").await;
    if let Some(safe_mode) = api.integrity().safe_mode() {
        tracing::error!(since = %safe_mode.since, "SAFE MODE: the data directory has the flag; no module runs until a person ends it");
        announce(&api, "core.safe_mode_entered").await;
    }
    let address = api_port.local_addr()?;
    let served = Server.serve(api_port.into(), api.clone(), api.identity().host_origin())?;
    let admin_ended = CancellationToken::new();
    tokio::spawn(serve_admin(admin, api.clone(), admin_ended.clone()));
    tokio::spawn(api.clone().keep_audit());
    tokio::spawn(api.clone().keep_presence());
    tokio::spawn(api.clone().keep_maintenance());
    let turned = Arc::new(Notify::new());
    let turns = turned.clone();
    // Nothing is kept of a turn that nobody waits for: the watchdog hears of one that came after it asked.
    let keeper = tokio::spawn(modules.clone().run(move || turns.notify_waiters()));
    tokio::spawn(pulse::feed(api.clone(), turned));
    tokio::spawn(oauth.clone().keep_fresh());
    if places.again.is_none() {
        first_lines(address, made_token.as_deref()).context("cannot write to standard output")?;
    }
    announce(&api, "core.startup_completed").await;
    notify::ready();
    startup_code::give_back();

    let restart = modules.restart_wanted();
    let ended = tokio::select! {
        signal = ended => {
            tracing::info!(?signal, "the hub ends");
            Ended::Told
        }
        () = restart.cancelled() => {
            tracing::info!("the hub starts again, with what was restored");
            if is_activated { Ended::StartedBySystemd } else { Ended::Again(Again { address, made_token }) }
        }
    };
    notify::stopping();
    served.shut_down();
    admin_ended.cancel();
    announce(&api, "core.shutdown").await;
    modules.shut_down(DRAIN).await;
    keeper.abort();
    if tokio::time::timeout(DRAIN, oauth.shut_down()).await.is_err() {
        tracing::warn!("what was begun with providers did not end in time");
    }
    api.settle().await?;
    Ok(ended)
}

async fn assemble(
    places: &Places,
    store: Arc<dyn Store>,
    development: Development,
) -> anyhow::Result<(Arc<Api>, Arc<Modules>, Arc<OAuth>)> {
    let (sandbox, volumes) = sandbox(places, selena_core::hub_id(&store).await?);
    let calls: Arc<dyn ModuleCalls> = Arc::new(Client::new(sandbox.clone()));
    let limits = if places.rate_limit { RequestLimits::Protocol } else { RequestLimits::Lifted };
    let integrity = Integrity::of_hub(&places.agent_secret, &places.data_dir);
    let api = Api::new(info()?, store.clone(), calls.clone(), development, limits).await?.watched_by(integrity);
    let api = Arc::new(api);
    let sealer = FileKeySealer::open_or_create(&places.secure_dir)?;
    let (vault, sealer): (Arc<dyn Vault>, Arc<dyn Sealer>) = (Arc::new(sealer.vault()), Arc::new(sealer));
    if places.new_key {
        vault.begin_key_change().context("cannot make a new key for secrets at rest")?;
    }
    let modules = Modules::load(ModulesParts {
        api: api.clone(),
        sandbox,
        calls,
        listeners: Arc::new(Server),
        dial: Arc::new(GuardedDial::default()),
        packages: Arc::new(Packages::default()),
        sealer: sealer.clone(),
        memory_store: Arc::new(memory_store),
        backup: BackupParts { copies: Arc::new(SqliteCopies::of(&places.data_dir)), volumes, vault: vault.clone() },
        config: ModulesConfig {
            data_dir: places.data_dir.clone(),
            limits: module_limits(),
            enabled: places.enabled_modules.clone(),
            module_config: places.module_config.clone(),
            vendor_key: places.vendor_key.clone(),
        },
    });
    let modules = modules.await?;
    let oauth = OAuth::load(OAuthParts {
        store,
        sealer,
        vault: vault.clone(),
        https: places.https.clone(),
        providers: modules.providers(),
    })
    .await?;
    api.set_secrets(Arc::new(Secrets::new(places.https.clone(), oauth.clone())));
    api.set_oauth(oauth.clone());
    if vault.is_changing_keys() {
        end_key_change(&modules, &*vault).await;
    }
    Ok((api, modules, oauth))
}

/// Seals again what is not yet sealed with the newest key, and drops the one before. If that fails, both are kept:
/// everything opens, and the next start goes on.
async fn end_key_change(modules: &Modules, vault: &dyn Vault) {
    let ended = match modules.seal_again().await {
        Ok(()) => vault.end_key_change().map_err(anyhow::Error::from),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => tracing::info!("all secrets are sealed with the newest key; the one before is gone"),
        Err(error) => tracing::error!(error = &*error as &dyn std::error::Error, "the key before is still needed"),
    }
}

fn sandbox(places: &Places, hub_id: String) -> (Arc<dyn Sandbox>, Arc<dyn DataVolumes>) {
    if let Some(socket) = &places.sandbox_socket {
        let remote = Arc::new(RemoteSandbox::connect(socket.clone()));
        return (remote.clone(), remote);
    }
    let state_dir = places.data_dir.join("sandbox");
    let mut config = SandboxConfig::new(places.init.clone(), places.data_dir.clone(), state_dir, hub_id);
    config.docker_socket = places.docker_socket.clone();
    config.name_prefix = places.name_prefix.clone();
    config.sysfs = places.sysfs.clone();
    let docker = Arc::new(DockerSandbox::new(config));
    (docker.clone(), docker)
}

fn memory_store() -> Result<Arc<dyn Store>, StoreError> {
    let failed = |source: selena_store::OpenError| StoreError::Failed {
        attempted: "making a store in memory",
        source: Box::new(source),
    };
    Ok(Arc::new(Sqlite::in_memory().map_err(failed)?))
}

fn info() -> anyhow::Result<HubInfo> {
    Ok(HubInfo {
        version: env!("CARGO_PKG_VERSION").parse()?,
        commit: env!("SELENA_COMMIT").to_owned(),
        build_time: env!("SELENA_BUILD_TIME").to_owned(),
        hardware: machine::hardware(),
        os: machine::os(),
    })
}

/// What one module gets at most on this machine: half of its memory, all of its cores.
fn module_limits() -> ResourceLimits {
    let (memory_mb, cpu) = machine::module_share();
    ResourceLimits { memory_mb, cpu, data_mb: machine::MAX_DATA_MB }
}

/// The development token: the environment's, or a new one, which is then also printed.
fn development(keys: Option<DevelopmentKeys>) -> anyhow::Result<(Development, Option<String>)> {
    let Some(keys) = keys else { return Ok((Development::default(), None)) };
    let (token, made) = match keys.token {
        Some(token) => (token, None),
        None => {
            let token = selena_core::new_token()?;
            let text = token.expose().to_owned();
            (token, Some(text))
        }
    };
    Ok((Development { token: Some(token), webhook_secret: keys.webhook_secret }, made))
}

async fn announce(api: &Api, event_type: &'static str) {
    if let Err(error) = api.announce(event_type, json!({ "version": api.info().version })).await {
        tracing::error!(error = &error as &dyn std::error::Error, event_type, "an event of the hub was not stored");
    }
}

/// The lines that programs which start a hub read (protocol, section 12).
fn first_lines(address: std::net::SocketAddr, made_token: Option<&str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {address}")?;
    if let Some(token) = made_token {
        writeln!(out, "DEV_MODULE_TOKEN={token}")?;
    }
    out.flush()
}
