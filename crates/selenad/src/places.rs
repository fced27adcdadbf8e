//! Where everything of this hub lies and listens.

use std::{
    collections::BTreeMap,
    env, fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use selena_core::ports::Https;
use selena_runtime::{
    agent_secret,
    settings::{ModulesSettings, Settings, variable},
};
use selena_signature::PublicKey;
use selena_types::{ModuleName, Secret};
use selena_vault::GuardedHttps;
use serde_json::{Map, Value};

use crate::arguments::Arguments;

/// The admin socket of a hub that is no development hub.
const ADMIN_SOCKET: &str = "/run/selena/admin.sock";
/// Where an installed hub has its init for containers.
const INSTALLED_INIT: &str = "/usr/lib/selena/selena-init";
/// Where an installed hub has its vendor's public key: on the read-only part of the system.
const VENDOR_KEY: &str = "/usr/lib/selena/vendor.pub";

/// Every place of this hub, checked.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) data_dir: PathBuf,
    pub(crate) secure_dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) admin_socket: PathBuf,
    /// Where the sandbox process listens; without it the sandbox is in this process.
    pub(crate) sandbox_socket: Option<PathBuf>,
    pub(crate) docker_socket: PathBuf,
    pub(crate) init: PathBuf,
    pub(crate) name_prefix: String,
    pub(crate) sysfs: PathBuf,
    pub(crate) enabled_modules: Vec<ModuleName>,
    pub(crate) module_config: BTreeMap<ModuleName, Map<String, Value>>,
    pub(crate) vendor_key: Option<PublicKey>,
    pub(crate) https: Arc<dyn Https>,
    pub(crate) rate_limit: bool,
    pub(crate) new_key: bool,
    /// Where the hub listened before it started itself again; then it says nothing of it.
    pub(crate) again: Option<SocketAddr>,
    pub(crate) development: Option<DevelopmentKeys>,
    pub(crate) agent_secret: Secret,
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
        let listen =
            arguments.again.or(arguments.listen).unwrap_or((Ipv4Addr::LOCALHOST, settings.core_port.get()).into());
        if !listen.ip().is_loopback() {
            bail!("--listen {listen}: the API listens on loopback addresses only");
        }
        let (secure_dir, admin_socket) = if arguments.dev {
            (data_dir.join("secure"), data_dir.join("run/admin.sock"))
        } else {
            (settings.secure_dir, PathBuf::from(ADMIN_SOCKET))
        };
        let secure_dir = make_dir(&secure_dir)?;
        let agent_secret = match &settings.integrity_agent_secret {
            Some(given) => Secret::new(given.expose_secret().to_owned()),
            None => Secret::new(agent_secret::read_or_create(&secure_dir)?.expose_secret().to_owned()),
        };
        Ok(Self {
            secure_dir,
            agent_secret,
            admin_socket,
            listen,
            sandbox_socket: sandbox_socket(arguments, settings.sandbox_socket),
            docker_socket: arguments.docker_socket.clone(),
            init: arguments.init.clone().unwrap_or_else(|| find_init(env::current_exe().ok().as_deref())),
            name_prefix: arguments.name_prefix.clone(),
            sysfs: arguments.sysfs.clone(),
            enabled_modules: names(&settings.modules.enabled_modules)?,
            module_config: module_config(&settings.modules)?,
            vendor_key: vendor_key(arguments.vendor_key.as_deref())?,
            https: Arc::new(GuardedHttps::new(settings.ca_file.as_deref()).context("setting `core_ca_file`")?),
            rate_limit: !arguments.no_rate_limit,
            new_key: arguments.new_key,
            again: arguments.again,
            development: arguments.dev.then(development_keys),
            data_dir,
        })
    }
}

/// A hub that is no development hub has its sandbox in another process, unless it is told otherwise.
fn sandbox_socket(arguments: &Arguments, setting: PathBuf) -> Option<PathBuf> {
    let in_one = arguments.dev || arguments.all_in_one;
    arguments.sandbox_socket.clone().or_else(|| (!in_one).then_some(setting))
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

/// The hub vendor's public key; a hub without one takes no package of type `SYSTEM`.
fn vendor_key(named: Option<&Path>) -> anyhow::Result<Option<PublicKey>> {
    let path = named.unwrap_or(Path::new(VENDOR_KEY));
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.parse().with_context(|| format!("the vendor's key `{}`", path.display()))?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read the vendor's key `{}`", path.display())),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_key_that_is_named_has_to_be_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("vendor.pub");
        let error = vendor_key(Some(&file)).expect_err("it is not there");
        assert!(error.to_string().contains("vendor.pub"), "{error}");
        fs::write(&file, "hello").expect("written");
        let error = vendor_key(Some(&file)).expect_err("it is none");
        assert!(format!("{error:#}").contains("a public key is an Ed25519 key"), "{error:#}");
        fs::write(&file, "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n").expect("written");
        let key = vendor_key(Some(&file)).expect("it is one").expect("there is one");
        assert_eq!(key.id().as_str(), "56475aa75463474c0285df5dbf2bcab7");
    }
}
