//! A hub for one test: a sandbox with a label of its own, and the server half of `GET /boot`.

use std::{
    fs,
    net::TcpListener as StdListener,
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, resume_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::FutureExt;
use selena_core::ports::{
    Command, ContainerExit, ContainerPurpose, ContainerSpec, EngineState, ExitCause, RunId, Sandbox, SandboxError,
    StartedContainer,
};
use selena_sandbox::{DockerSandbox, SandboxConfig};
use selena_types::{ModuleName, ModulePort, Resources};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    time::timeout,
};

use crate::build;

/// More than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const UID: u32 = 20_001;

/// Docker's socket for tests.
pub(crate) fn docker_socket() -> PathBuf {
    let address = std::env::var("SELENA_TEST_DOCKER").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    address.trim_start_matches("unix://").into()
}

/// A sandbox and what a test needs beside it.
pub(crate) struct Hub {
    pub(crate) sandbox: DockerSandbox,
    pub(crate) exits: mpsc::UnboundedReceiver<ContainerExit>,
    pub(crate) config: SandboxConfig,
    /// Docker itself, past the sandbox.
    pub(crate) docker: Docker,
    pub(crate) dir: TempDir,
}

/// Runs a test with a hub, and removes all that the hub had in Docker.
pub(crate) async fn with_hub(test: impl AsyncFnOnce(&mut Hub)) {
    with_hub_of(|_| {}, test).await;
}

/// As `with_hub`, with a change of its configuration.
pub(crate) async fn with_hub_of(change: impl FnOnce(&mut SandboxConfig), test: impl AsyncFnOnce(&mut Hub)) {
    let mut hub = Hub::new(change).await;
    let result = AssertUnwindSafe(test(&mut hub)).catch_unwind().await;
    hub.clean_up().await;
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

impl Hub {
    async fn new(change: impl FnOnce(&mut SandboxConfig)) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = format!("t{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let socket = docker_socket();
        let docker = Docker::connect_with_unix(&socket.to_string_lossy(), 60, API_DEFAULT_VERSION);
        let docker = docker.unwrap_or_else(|error| panic!("these tests need Docker: {error}; see SELENA_TEST_DOCKER"));
        docker.ping().await.expect("these tests need a Docker that answers, and the right to ask it");
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        let mut config = SandboxConfig::new(build::INIT.clone(), dir.path().to_owned(), state_dir, id.clone());
        config.docker_socket = socket;
        config.name_prefix = format!("{id}-");
        change(&mut config);
        let sandbox = DockerSandbox::new(config.clone());
        let exits = sandbox.exits();
        Self { sandbox, exits, config, docker, dir }
    }

    /// A module whose package is the probe.
    pub(crate) fn spec(&self, name: &str) -> ContainerSpec {
        let package_dir = self.dir.path().join(name);
        fs::create_dir_all(&package_dir).unwrap();
        fs::copy(&*build::PROBE, package_dir.join("probe")).unwrap();
        ContainerSpec {
            purpose: ContainerPurpose::Module,
            module: ModuleName::new(name).unwrap(),
            version: "1.0.0".parse().unwrap(),
            port: Some(ModulePort::new(8101).unwrap()),
            uid: UID,
            command: Command::Static("probe".to_owned()),
            package_dir,
            data_image: self.dir.path().join(format!("{name}.img")),
            resources: Resources { memory_mb: 64, cpu: 1.0, pids: 20, nofile: 64, data_mb: 16 },
            devices: Vec::new(),
            egress: false,
        }
    }

    pub(crate) async fn start(&self, spec: &ContainerSpec) -> StartedContainer {
        self.try_start(spec).await.unwrap_or_else(|error| panic!("{}", with_causes(&error)))
    }

    pub(crate) async fn try_start(&self, spec: &ContainerSpec) -> Result<StartedContainer, SandboxError> {
        let mut engine = self.sandbox.engine();
        timeout(PATIENCE, engine.wait_for(|state| *state == EngineState::Up)).await.unwrap().unwrap();
        self.try_start_now(spec).await
    }

    /// Starts without waiting for the engine.
    pub(crate) async fn try_start_now(&self, spec: &ContainerSpec) -> Result<StartedContainer, SandboxError> {
        timeout(PATIENCE, self.sandbox.start(spec.clone())).await.unwrap()
    }

    /// Starts the probe with `job` and gives it its environment; answers no other request.
    pub(crate) async fn launch(&self, spec: &ContainerSpec, job: &str) -> (RunId, TcpListener) {
        let started = self.start(spec).await;
        let listener = listener(started.listener);
        boot(&listener, &[("PROBE", job), ("SECRET", "canary")]).await;
        (started.run, listener)
    }

    /// Runs the probe to its end; why it ended, and what it wrote.
    pub(crate) async fn run(&mut self, spec: &ContainerSpec, job: &str) -> (ExitCause, String) {
        let (run, _listener) = self.launch(spec, job).await;
        let exit = self.next_exit().await;
        assert_eq!(exit.run, run);
        (exit.cause, self.log(spec).await)
    }

    pub(crate) async fn next_exit(&mut self) -> ContainerExit {
        timeout(PATIENCE, self.exits.recv()).await.expect("nothing ended").unwrap()
    }

    pub(crate) async fn log(&self, spec: &ContainerSpec) -> String {
        self.sandbox.logs(&spec.module, spec.purpose, 4 * 1024 * 1024).await.unwrap()
    }

    /// Waits until the probe wrote `line`.
    pub(crate) async fn wait_for_log(&self, spec: &ContainerSpec, line: &str) {
        let looked = async {
            while !self.log(spec).await.contains(line) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, looked).await.unwrap_or_else(|_| panic!("`{line}` was not written"));
    }

    /// The Docker the containers are in: that of all tests, if the test's own is only a way to it that may be cut.
    fn own_docker(&self) -> PathBuf {
        let is_daemon = self.config.docker_socket.with_file_name("pid").exists();
        if is_daemon { self.config.docker_socket.clone() } else { docker_socket() }
    }

    async fn clean_up(&self) {
        let plain = DockerSandbox::new(SandboxConfig { docker_socket: self.own_docker(), ..self.config.clone() });
        for entry in fs::read_dir(self.dir.path()).unwrap() {
            if let Ok(module) = ModuleName::new(&entry.unwrap().file_name().to_string_lossy()) {
                plain.purge(&module).await.unwrap_or_else(|error| println!("not cleaned up: {}", with_causes(&error)));
            }
        }
    }
}

/// A listener as the core uses it.
pub(crate) fn listener(fd: OwnedFd) -> TcpListener {
    TcpListener::from_std(StdListener::from(fd)).unwrap()
}

/// Answers the init's one request.
pub(crate) async fn boot(listener: &TcpListener, environment: &[(&str, &str)]) {
    let (mut connection, _) = timeout(PATIENCE, listener.accept()).await.expect("the init did not come").unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0);
    }
    assert!(request.starts_with(b"GET /boot HTTP/1.1\r\n"));
    let body: String = environment.iter().map(|(name, value)| format!("{name}={value}\0")).collect();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.write_all((head + &body).as_bytes()).await.unwrap();
}

pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", with_causes(cause)));
    format!("{error}{}", cause.unwrap_or_default())
}

/// The value of `name` in what the probe wrote.
pub(crate) fn value<'a>(log: &'a str, name: &str) -> &'a str {
    let found = log.lines().filter_map(|line| line.split_once('=')).find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no `{name}` in:\n{log}")).1
}

pub(crate) fn number(log: &str, name: &str) -> u64 {
    value(log, name).parse().unwrap()
}

/// The loop device an image is attached to, by the kernel's own word.
pub(crate) fn attached(image: &Path) -> bool {
    let backing = |device: fs::DirEntry| fs::read_to_string(device.path().join("loop/backing_file")).ok();
    let image = image.canonicalize().unwrap();
    fs::read_dir("/sys/block")
        .unwrap()
        .filter_map(|device| backing(device.unwrap()))
        .any(|file| Path::new(file.trim()) == image)
}

/// Waits until `holds`.
pub(crate) async fn until(holds: impl AsyncFn() -> bool) {
    let looked = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, looked).await.expect("it did not come to hold");
}
