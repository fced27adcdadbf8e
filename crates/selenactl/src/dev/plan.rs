//! Which program a module is, and the environment it runs in (protocol, section 2).

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
};

use hyper::StatusCode;
use selena_types::{Manifest, Runtime};
use tempfile::TempDir;
use tokio::process::Command;

use super::{DevError, HubUrl};
use crate::{
    cli::PrivateText,
    error::CtlError,
    package::{Package, check},
    scaffold::PYTHON_SDK,
    screen::Screen,
};

/// What starts the program of a module in the hub's Python base.
const PYTHON_RUN: &str = include_str!("../../../../image/python-base/python-run.py");

/// Makes a plan of what lies in the module's directory.
#[derive(Debug)]
pub(super) struct Planner {
    dir: PathBuf,
    api: String,
    token: PrivateText,
    secret: Option<PrivateText>,
    /// Holds what the hub's Python base has besides Python.
    base: TempDir,
}

/// What is to be run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) port: u16,
    /// Comes first, and has to succeed.
    pub(super) build: Option<Command>,
    pub(super) run: Command,
}

impl Planner {
    /// A planner for a directory, which is an absolute path.
    pub(super) fn new(
        dir: PathBuf,
        hub: &HubUrl,
        token: PrivateText,
        secret: Option<PrivateText>,
    ) -> Result<Self, DevError> {
        let base = tempfile::tempdir().map_err(DevError::system("make a temporary directory"))?;
        for (file, text) in [("python-run", PYTHON_RUN), ("selena.py", PYTHON_SDK)] {
            fs::write(base.path().join(file), text).map_err(DevError::system("write a temporary file"))?;
        }
        Ok(Self { dir, api: hub.api(), token, secret, base })
    }

    /// Tells whether there is a hub that knows us; without one the module can still be started.
    pub(super) async fn greet(&self, hub: &HubUrl, screen: &mut Screen) -> Result<(), DevError> {
        match hub.status("/modules", self.token.expose()).await {
            Some(StatusCode::UNAUTHORIZED) => return Err(DevError::Token),
            Some(_) => {}
            None => screen.note(&format!(
                "no hub answers at {}; start one: selenad --dev --data-dir DIR --listen 127.0.0.1:{}",
                self.api, hub.port
            )),
        }
        if self.secret.is_none() {
            screen.note(
                "events cannot be verified without a secret: start the hub and this with the same \
                 SELENA_WEBHOOK_SECRET, any text",
            );
        }
        Ok(())
    }

    /// What is to be run, by the manifest as it is now.
    pub(super) fn plan(&self) -> Result<Plan, CtlError> {
        let report = check(&mut Package::open(&self.dir)?)?;
        let manifest = report.manifest.ok_or(DevError::Manifest(report.problems))?;
        let Some(port) = manifest.port else {
            return Err(DevError::Kind("a SYSTEM module is a part of the hub and cannot be run beside it").into());
        };
        let runtime = manifest.runtime_with(self.dir.join("main.py").is_file());
        let Some(entry_point) = manifest.entry_point_with(runtime) else {
            return Err(DevError::Kind("an `oci` module runs in its image, not as a plain process").into());
        };
        let is_cargo = runtime == Runtime::Static && self.dir.join("Cargo.toml").is_file();
        let mut run = match runtime {
            Runtime::Python3 => self.python(&entry_point),
            _ if is_cargo => cargo(&["run", "--quiet"]),
            _ => Command::new(self.dir.join(entry_point)),
        };
        self.set_environment(&mut run, &manifest, port.get());
        let build = is_cargo.then(|| {
            let mut build = cargo(&["build"]);
            build.current_dir(&self.dir);
            build
        });
        Ok(Plan { name: manifest.name.to_string(), port: port.get(), build, run })
    }

    fn python(&self, entry_point: &str) -> Command {
        let mut command = Command::new("python3");
        command.arg(self.base.path().join("python-run")).arg(entry_point);
        let others = env::var_os("PYTHONPATH").unwrap_or_default();
        let places = [self.base.path().to_owned()].into_iter().chain(env::split_paths(&others));
        // A path with a colon in it, which cannot be in this list, is not in that of others either.
        command.env("PYTHONPATH", env::join_paths(places).unwrap_or(others));
        command
    }

    fn set_environment(&self, command: &mut Command, manifest: &Manifest, port: u16) {
        // What the caller's shell says to the hub's own programs is not for the module.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SELENA_")) {
            command.env_remove(name);
        }
        let token = self.token.expose();
        command
            .current_dir(&self.dir)
            .env("SELENA_MODULE_TOKEN", token)
            .env("SELENA_CORE_URL", &self.api)
            .env("SELENA_MODULE_NAME", manifest.name.as_str())
            .env("SELENA_MODULE_PORT", port.to_string())
            .env("SELENA_INSTALL_PATH", &self.dir)
            .env("MODULE_TOKEN", token)
            .env("SELENA_CORE_API", &self.api)
            .env_remove("DEV_MODULE_TOKEN");
        if let Some(secret) = &self.secret {
            command.env("SELENA_WEBHOOK_SECRET", secret.expose());
        }
    }
}

impl Plan {
    /// Another program that has the module's port would answer for it.
    pub(super) fn require_port(&self) -> Result<(), DevError> {
        let port = self.port;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop).map_err(|source| DevError::Port { port, source })
    }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments);
    command
}
