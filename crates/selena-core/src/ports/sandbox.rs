//! The sandbox: containers and the way into their network namespaces.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    ops::RangeInclusive,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use selena_types::{ModuleName, ModulePort, Resources};
use semver::Version;
use tokio::sync::{mpsc, watch};

use super::{DeviceGrant, HostDevices};

/// The users that modules run as, each as another one. No other program of the system may be one of them.
pub const MODULE_UIDS: RangeInclusive<u32> = 400_000..=465_535;

/// Id of one container run: the engine's container id, 64 hex digits.
/// Every start makes a new container, so a run id also names one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

/// Whether the container engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineState {
    /// It was not asked yet.
    Unknown,
    /// It answers.
    Up,
    /// It does not; holds why, for people.
    Down(String),
}

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerPurpose {
    /// To be the module: `selena-module-<name>`.
    Module,
    /// To be tried once before it is installed: `selena-test-<name>`.
    Trial,
}

/// What the module's init runs, and in which root file system: a runtime of the protocol's section 4.
#[derive(Clone, Debug)]
pub enum Command {
    /// A file of the package, in an empty root; relative to the package.
    Static(String),
    /// A Python file of the package, in the hub's Python base; relative to the package.
    Python3(String),
    /// What the package's image starts, in the image's own files.
    Image(ImageCommand),
}

impl Command {
    /// Where the package is mounted: an image may have an `/app` of its own.
    #[must_use]
    pub fn install_path(&self) -> &'static str {
        match self {
            Self::Static(_) | Self::Python3(_) => "/app",
            Self::Image(_) => "/selena/package",
        }
    }
}

/// An image's program, and where its files are to be had.
#[derive(Clone, Debug)]
pub struct ImageCommand {
    /// What is started.
    pub program: ImageProgram,
    /// The image's files as one plain tar that the hub made, open for reading and at its begin; without it only an image
    /// that was imported before starts. It is open, since who starts the container may not be who may open it.
    pub root: Option<Arc<File>>,
}

/// All that counts of an image's configuration (protocol, section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageProgram {
    /// Names the image's files: digits, `a` to `f` and `-`.
    pub id: String,
    /// Program and arguments, at least one; a program without `/` is looked for in the image's `PATH`.
    pub argv: Vec<String>,
    /// Variables, `KEY=VALUE` each; the hub's own win over them.
    pub env: Vec<String>,
    /// An absolute path.
    pub working_dir: String,
}

/// All that decides a container; nothing in it is secret (protocol, section 4).
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    /// What it is for.
    pub purpose: ContainerPurpose,
    /// The module.
    pub module: ModuleName,
    /// Its version.
    pub version: Version,
    /// Its port inside the namespace.
    pub port: Option<ModulePort>,
    /// User and group id its processes run as; not 0, another one for each module.
    pub uid: u32,
    /// What runs in it.
    pub command: Command,
    /// The unpacked package, mounted read-only at [`Command::install_path`].
    pub package_dir: PathBuf,
    /// The ext4 image mounted at `/data`; made with `resources.data_mb` MiB if it is not there.
    pub data_image: PathBuf,
    /// Its limits.
    pub resources: Resources,
    /// The devices it may read and write; none is made in it that is not here.
    pub devices: Vec<DeviceGrant>,
    /// Whether its namespace gets a listener for approved egress (protocol, section 1); never in a trial.
    pub egress: bool,
}

/// A container that was started and has the hub's listener in its namespace.
#[derive(Debug)]
pub struct StartedContainer {
    /// The run.
    pub run: RunId,
    /// A TCP socket that listens on `127.0.0.1:7070` inside the container's namespace.
    pub listener: OwnedFd,
    /// A TCP socket that listens on `127.0.0.1:7071` there, if [`ContainerSpec::egress`] asks for it.
    pub egress_listener: Option<OwnedFd>,
}

/// Why a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitCause {
    /// Its main process ended with this code (128 + n for signal n).
    Code(i64),
    /// It needed more memory than it may use.
    OutOfMemory,
    /// It was not there any more: removed by hand.
    Gone,
    /// It was lost while the engine was away: not the module's fault.
    EngineRestarted,
}

impl fmt::Display for ExitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::OutOfMemory => f.write_str("oom: it needed more memory than `resources.memory_mb` allows"),
            Self::Gone => f.write_str("its container was removed from outside"),
            Self::EngineRestarted => f.write_str("the container engine restarted"),
        }
    }
}

/// A run that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerExit {
    /// The run.
    pub run: RunId,
    /// Why it ended.
    pub cause: ExitCause,
}

/// A container of the hub as the engine lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedContainer {
    /// The run.
    pub run: RunId,
    /// The module's name, from the label `selena.module`.
    pub module: String,
    /// Whether it is a trial, from the label `selena.test`.
    pub trial: bool,
    /// Whether its main process runs.
    pub running: bool,
}

/// What a run used and opened, for the trial's report (protocol, section 2, step 3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunUsage {
    /// Most memory it used, in bytes, if the kernel tells.
    pub peak_memory_bytes: Option<u64>,
    /// TCP ports that listen in its namespace, the hub's own apart, in order.
    pub open_ports: Vec<u16>,
    /// Most processes and threads at one time in the whole container, if the kernel tells.
    pub peak_processes: Option<u64>,
    /// Paths of the programs that run now, the init apart, without repetition, in order; if they could be seen.
    pub programs: Option<Vec<String>>,
}

/// What a module uses of the engine's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineUse {
    /// Its images, without what they share with the hub's own.
    pub image_bytes: u64,
    /// Its containers' logs and descriptions.
    pub log_bytes: u64,
    /// What is full of its data volume, if that is mounted.
    pub data_used_bytes: Option<u64>,
}

/// What went wrong in the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine does not answer: Docker is stopped, or hangs.
    #[error("the container engine does not answer while {attempted}")]
    EngineDown {
        /// What was attempted.
        attempted: &'static str,
        /// The engine client's own word.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine refused, or failed.
    #[error("the container engine failed while {attempted}")]
    Engine {
        /// What was attempted.
        attempted: &'static str,
        /// The engine client's own word.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The image a runtime needs is not there or cannot start here.
    #[error("{0}")]
    Image(String),
    /// The engine does not have the module's own image, and [`ImageCommand::root`] was not given.
    #[error("the container engine does not have the module's image")]
    ImageMissing,
    /// No disk space is left for the data volume or the image.
    #[error("no space left while {attempted}")]
    DiskFull {
        /// What was attempted.
        attempted: &'static str,
    },
    /// A device that was to be given is not there any more, or is another one.
    #[error("the device `{0}` changed while the container was started")]
    DeviceChanged(String),
    /// The run has ended, so its namespace is gone.
    #[error("the container run has ended")]
    RunEnded,
    /// Something of the operating system failed.
    #[error("{attempted} failed")]
    System {
        /// What was attempted.
        attempted: &'static str,
        /// Its error.
        source: std::io::Error,
    },
}

/// Containers, and sockets in their namespaces.
pub trait Sandbox: fmt::Debug + Send + Sync + 'static {
    /// Whether the engine answers, now and whenever that changes.
    fn engine(&self) -> watch::Receiver<EngineState>;

    /// The runs that end from now on. Called once.
    fn exits(&self) -> mpsc::UnboundedReceiver<ContainerExit>;

    /// The devices that a manifest can name and that are there, now and whenever that changes.
    fn devices(&self) -> watch::Receiver<Arc<HostDevices>>;

    /// Makes the container anew (one of that name that is left over is removed with its image tag of another version
    /// kept), starts it, and puts the hub's listener into its namespace.
    fn start(&self, spec: ContainerSpec) -> BoxFuture<'_, Result<StartedContainer, SandboxError>>;

    /// Stops a run: SIGTERM, and SIGKILL after the grace. Fine if it has ended. The container stays, for its log.
    fn stop(&self, run: &RunId, grace: Duration) -> BoxFuture<'_, Result<(), SandboxError>>;

    /// Waits until nothing has a module's data mounted any more, so that all that was written is in the image. Its runs
    /// have ended; an error if something else holds the data.
    fn release_data(&self, module: &ModuleName, data_image: &Path) -> BoxFuture<'_, Result<(), SandboxError>>;

    /// Copies a module's data, which nothing has mounted, to a file that is made for it; durable when it returns. Only the
    /// sandbox writes such images: the kernel mounts them. An error if `to` is there.
    fn copy_data(&self, module: &ModuleName, from: &Path, to: &Path) -> BoxFuture<'_, Result<(), SandboxError>>;

    /// Kills and removes a run's container with its volumes. Fine if it is gone.
    fn remove(&self, run: &RunId) -> BoxFuture<'_, Result<(), SandboxError>>;

    /// Removes all the engine has of a module: containers and images.
    fn purge(&self, module: &ModuleName) -> BoxFuture<'_, Result<(), SandboxError>>;

    /// Removes the images of a module, but for those of these versions.
    fn prune_images(&self, module: &ModuleName, keep: &[Version]) -> BoxFuture<'_, Result<(), SandboxError>>;

    /// The modules of which the engine holds an image that this hub made, installed or not.
    fn image_owners(&self) -> BoxFuture<'_, Result<Vec<ModuleName>, SandboxError>>;

    /// All containers of this hub, running or not.
    fn list(&self) -> BoxFuture<'_, Result<Vec<ListedContainer>, SandboxError>>;

    /// An unconnected, non-blocking TCP/IPv4 socket that was made in the run's namespace.
    fn socket(&self, run: &RunId) -> BoxFuture<'_, Result<OwnedFd, SandboxError>>;

    /// What the run used and opened.
    fn usage(&self, run: &RunId) -> BoxFuture<'_, Result<RunUsage, SandboxError>>;

    /// What each module uses of the engine's disk, by the module's name.
    fn disk_use(&self) -> BoxFuture<'_, Result<BTreeMap<String, EngineUse>, SandboxError>>;

    /// The last bytes of a module's or trial's output, standard output and error interleaved, at most `max_bytes`.
    fn logs(
        &self,
        module: &ModuleName,
        purpose: ContainerPurpose,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<String, SandboxError>>;
}
