//! Where everything of this hub lies and listens.

use std::{
    collections::BTreeMap,
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use selena_core::ports::Https;
use selena_runtime::settings::{ModulesSettings, Settings, variable};
use selena_types::{ModuleName, Secret};
use selena_vault::GuardedHttps;
use serde_json::{Map, Value};

use crate::arguments::Arguments;

/// The admin socket of a hub that is no development hub.
const ADMIN_SOCKET: &str = "/run/selena/admin.sock";
/// Where an installed hub has its init for containers.
const INSTALLED_INIT: &str = "/usr/lib/selena/selena-init";

/// Every place of this hub, checked.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) data_dir: PathBuf,
    pub(crate) secure_dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) admin_socket: PathBuf,
    pub(crate) docker_socket: PathBuf,
    pub(crate) init: PathBuf,
    pub(crate) name_prefix: String,
    pub(crate) enabled_modules: Vec<ModuleName>,
    pub(crate) module_config: BTreeMap<ModuleName, Map<String, Value>>,
    pub(crate) https: Arc<dyn Https>,
    pub(crate) rate_limit: bool,
    pub(crate) new_key: bool,
    pub(crate) development: Option<DevelopmentKeys>,
}

/// What the environment gives a development hub (protocol, section 12).
#[derive(Debug)]
pub(crate) struct DevelopmentKeys {
    pub(crate) token: Option<Secret>,
    pub(crate) webhook_secret: Option<Secret>,
}

impl Places {
    pub(crate) fn new(arguments: &Arguments, settings: Settings) -> anyhow::Result<Self> {
        let data_dir = make_dir(arguments.data_dir.as_deref().unwrap_or(&settings.data_dir))?;
        let listen = arguments.listen.unwrap_or((Ipv4Addr::LOCALHOST, settings.core_port.get()).into());
        if !listen.ip().is_loopback() {
            bail!("--listen {listen}: the API listens on loopback addresses only");
        }
        let (secure_dir, admin_socket) = if arguments.dev {
            (data_dir.join("secure"), data_dir.join("run/admin.sock"))
        } else {
            (settings.secure_dir, PathBuf::from(ADMIN_SOCKET))
        };
        Ok(Self {
            secure_dir: make_dir(&secure_dir)?,
            admin_socket,
            listen,
            docker_socket: arguments.docker_socket.clone(),
            init: arguments.init.clone().unwrap_or_else(|| find_init(env::current_exe().ok().as_deref())),
            name_prefix: arguments.name_prefix.clone(),
            enabled_modules: names(&settings.modules.enabled_modules)?,
            module_config: module_config(&settings.modules)?,
            https: Arc::new(GuardedHttps::new(settings.ca_file.as_deref()).context("setting `core_ca_file`")?),
            rate_limit: !arguments.no_rate_limit,
            new_key: arguments.new_key,
            development: arguments.dev.then(development_keys),
            data_dir,
        })
    }
}

fn development_keys() -> DevelopmentKeys {
    let secret = |name| variable(name).filter(|text| !text.is_empty()).map(Secret::new);
    DevelopmentKeys { token: secret("DEV_MODULE_TOKEN"), webhook_secret: secret("SELENA_WEBHOOK_SECRET") }
}

fn names(enabled: &[String]) -> anyhow::Result<Vec<ModuleName>> {
    let name = |text: &String| text.parse().with_context(|| format!("setting `enabled_modules`: `{text}`"));
    enabled.iter().map(name).collect()
}

fn module_config(modules: &ModulesSettings) -> anyhow::Result<BTreeMap<ModuleName, Map<String, Value>>> {
    let of = |(name, table)| -> anyhow::Result<_> {
        let name: &String = name;
        let parsed = name.parse().with_context(|| format!("setting `modules.config.{name}`"))?;
        let json = serde_json::to_value(table).with_context(|| format!("setting `modules.config.{name}`"))?;
        Ok((parsed, json.as_object().cloned().unwrap_or_default()))
    };
    modules.config.iter().map(of).collect()
}

/// Makes a directory if it is not there, and gives its full path, which the container engine needs.
fn make_dir(path: &Path) -> anyhow::Result<PathBuf> {
    // What is made here is the hub's alone; the mode of a directory that was there is its owner's choice.
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the directory `{}`", path.display()))?;
    path.canonicalize().with_context(|| format!("cannot read the directory `{}`", path.display()))
}

/// One folder above the program, where `scripts/pack-samples` puts it in a checkout, or where a package installs it.
/// Not beside the program: what cargo builds there is not static.
fn find_init(program: Option<&Path>) -> PathBuf {
    let built = program.and_then(Path::parent).and_then(Path::parent).map(|dir| dir.join("selena-init"));
    built.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(INSTALLED_INIT))
}
