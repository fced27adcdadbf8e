//! A hub of a test's own.

mod ends;
mod halves;

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::geteuid,
};
use selena_powercut::Mounted;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Answer, Client, Door, Engine, Module, Options, Package, http::Request, processes::Processes, start::spawn, wait,
};

/// A hub. Dropping it kills it, and removes all that it made.
#[derive(Debug)]
pub struct Hub {
    options: Options,
    /// The disk its data lies on, if that is one of its own; unmounted before its directory goes.
    disk: Option<Mounted>,
    dir: TempDir,
    prefix: String,
    token: String,
    webhook_secret: String,
    processes: Processes,
    port: u16,
}

impl Hub {
    /// Starts a hub with Docker.
    ///
    /// # Panics
    /// Without root or Docker, or if the hub does not start.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// Starts a hub without the limit of requests a second.
    #[must_use]
    #[track_caller]
    pub fn unlimited() -> Self {
        Self::with(Options { rate_limit: false, ..Options::default() })
    }

    /// Starts a hub with Docker.
    ///
    /// # Panics
    /// Without root or Docker, or if the hub does not start.
    #[must_use]
    #[track_caller]
    pub fn with(options: Options) -> Self {
        let socket = options.engine.socket().display();
        assert!(options.engine.answers(), "this test needs Docker at {socket}: start it with scripts/setup");
        Self::without_engine(options)
    }

    /// Starts a hub whose Docker need not answer.
    ///
    /// # Panics
    /// Without root, or if the hub does not start.
    #[must_use]
    #[track_caller]
    pub fn without_engine(options: Options) -> Self {
        assert!(geteuid().is_root(), "this test needs root: the hub enters namespaces and mounts volumes");
        remove_left_over(&Engine::default());
        static HUBS: AtomicU32 = AtomicU32::new(0);
        let number = HUBS.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::Builder::new().prefix("selena-test-").tempdir().expect("a temporary directory");
        if let Some(mib) = options.data_mib {
            mount_memory(&dir.path().join("data"), mib);
        }
        let disk = options.disk.as_ref().map(|disk| disk.mount(&dir.path().join("data")).expect("the disk is mounted"));
        let (token, webhook_secret) = (random_hex(), random_hex());
        let (processes, port) = spawn(&options, dir.path(), &prefix(number), &token, &webhook_secret);
        Self { options, disk, dir, prefix: prefix(number), token, webhook_secret, processes, port }
    }

    /// The API on the host, without a token.
    #[must_use]
    pub fn anonymous(&self) -> Client {
        Client::new(Door::Port(self.port), &format!("localhost:{}", self.port), "/api/v1")
    }

    /// The API on the host with the development token.
    #[must_use]
    pub fn client(&self) -> Client {
        self.anonymous().with_token(&self.token)
    }

    /// The API on the admin socket.
    #[must_use]
    pub fn admin(&self) -> Client {
        Client::new(Door::Socket(self.data_dir().join("run/admin.sock")), "localhost", "/api/v1")
    }

    /// Installs a package, as the samples' scripts do.
    #[track_caller]
    pub fn try_install(&self, package: &Package) -> Answer {
        self.client().send(&Request::new("POST", "/modules/install").form("module", &package.zip()))
    }

    /// Installs a package that is good, and gives the running module.
    ///
    /// # Panics
    /// If it is not installed.
    #[track_caller]
    pub fn install(&self, package: &Package) -> Module {
        let answer = self.try_install(package).expect(201).json();
        self.module(answer["name"].as_str().unwrap_or_default())
    }

    /// The running module of that name.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    #[track_caller]
    pub fn module(&self, name: &str) -> Module {
        wait::for_some(&format!("the module {name} runs"), 20, || self.try_module(name))
    }

    /// The module of that name, if it runs.
    #[must_use]
    pub fn try_module(&self, name: &str) -> Option<Module> {
        Module::try_find(&self.options.engine, &self.container(name))
    }

    /// What the hub says of a module.
    #[must_use]
    #[track_caller]
    pub fn status(&self, module: &str) -> String {
        self.details(module)["status"].as_str().unwrap_or_default().to_owned()
    }

    /// All that the hub says of a module.
    #[must_use]
    #[track_caller]
    pub fn details(&self, module: &str) -> Value {
        self.admin().get(&format!("/modules/{module}")).json()
    }

    /// The newest events of a type.
    #[must_use]
    #[track_caller]
    pub fn events(&self, event_type: &str) -> Vec<Value> {
        let answer = self.admin().get(&format!("/events?type={event_type}")).expect(200).json();
        answer["events"].as_array().cloned().unwrap_or_default()
    }

    /// The audit records of a kind.
    #[must_use]
    #[track_caller]
    pub fn audit(&self, event: &str) -> Vec<Value> {
        let answer = self.admin().get("/audit").expect(200).json();
        let all = answer["records"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|record| record["event"] == event).collect()
    }

    /// A new device of the development token; its id.
    #[track_caller]
    pub fn device(&self, kind: &str) -> String {
        let body = serde_json::json!({ "name": "a device", "type": kind, "protocol": "test" });
        let device = self.client().post("/devices", &body).expect(201).json();
        device["device_id"].as_str().expect("a device has an id").to_owned()
    }

    /// Name of a module's container.
    #[must_use]
    pub fn container(&self, module: &str) -> String {
        format!("{}selena-module-{module}", self.prefix)
    }

    /// Its Docker.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.options.engine
    }

    /// What the names of its containers and images begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// All that it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.processes.core.id().cast_signed()
    }

    /// Its port on the host.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The key of the development token's webhooks.
    #[must_use]
    pub fn webhook_secret(&self) -> &str {
        &self.webhook_secret
    }

    /// The development token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        for process in self.processes.sandbox.iter_mut().chain([&mut self.processes.core]) {
            let _dead_already = process.kill();
            let _waited_for_already = process.wait();
        }
        self.options.engine.clean(&self.prefix);
        if self.options.data_mib.is_some() {
            let _not_mounted = umount2(&self.data_dir(), MntFlags::MNT_DETACH);
        }
        if thread::panicking() {
            show(&format!("the log of the hub {}:\n{}", self.prefix, tail(&self.log(), 60)));
            if self.options.two_processes {
                show(&format!("the log of its sandbox:\n{}", tail(&self.sandbox_log(), 60)));
            }
        }
    }
}

/// Containers see what is mounted here: the engine runs in the same mount namespace.
fn mount_memory(directory: &Path, mib: u32) {
    fs::create_dir(directory).expect("the directory can be written");
    let options = format!("size={mib}m,mode=0700");
    let mounted = mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()));
    mounted.expect("root can mount a file system in memory");
}

#[expect(clippy::print_stderr, reason = "a failed test shows what its hub said")]
fn show(text: &str) {
    eprintln!("{text}");
}

/// The end of a log, without the questions that changed nothing.
fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().filter(|line| !line.contains("method=GET")).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Names of this process's hubs; the number of a process that is gone tells that what it left may be removed.
fn prefix(number: u32) -> String {
    format!("t{}x{number}-", process::id())
}

/// Removes what test programs left that were killed.
fn remove_left_over(engine: &Engine) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let names = engine.containers("t[0-9]+x[0-9]+-").into_iter().filter_map(|container| {
            let name = container["Names"][0].as_str()?.trim_start_matches('/').to_owned();
            Some(name.split_once("-selena-")?.0.to_owned())
        });
        for prefix in names {
            let pid = prefix.trim_start_matches('t').split('x').next().unwrap_or_default();
            if !Path::new("/proc").join(pid).exists() {
                engine.clean(&format!("{prefix}-"));
            }
        }
    });
}

fn random_hex() -> String {
    let mut bytes = [0; 24];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).expect("the kernel has randomness");
    hex::encode(bytes)
}
