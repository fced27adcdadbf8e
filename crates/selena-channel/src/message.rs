//! The messages of both directions. New variants and fields come at the end, with a new [`crate::VERSION`].

use wincode::{SchemaRead, SchemaWrite};

/// From the core to the sandbox.
#[expect(clippy::large_enum_variant, reason = "nearly all are calls: a box would be one allocation more for each")]
#[derive(Clone, Debug, PartialEq, SchemaRead, SchemaWrite)]
pub(crate) enum ToSandbox {
    /// A call. `id` is not used for another one while this one is under way; `limit_ms` is how long it may take.
    Call { id: u64, limit_ms: u64, call: Call },
    /// Nobody waits for the answer of that call any more. It is answered all the same.
    Cancel { id: u64 },
}

/// What the core asks for: the methods of the port `Sandbox`.
#[derive(Clone, Debug, PartialEq, SchemaRead, SchemaWrite)]
pub(crate) enum Call {
    Start(Spec),
    Stop {
        run: String,
        grace_ms: u64,
    },
    ReleaseData {
        module: String,
        image: String,
    },
    CopyData {
        module: String,
        from: String,
        to: String,
    },
    Remove {
        run: String,
    },
    Purge {
        module: String,
    },
    PruneImages {
        module: String,
        keep: Vec<String>,
    },
    List,
    Socket {
        run: String,
    },
    Usage {
        run: String,
    },
    Logs {
        module: String,
        trial: bool,
        max_bytes: u64,
    },
    ImageOwners,
    DiskUse,
    /// Beside it: where the tar goes.
    ReadOut {
        image: String,
    },
    /// Beside it: where the tar comes from.
    Fill {
        image: String,
        mib: u32,
        owner: u32,
    },
}

impl Call {
    /// Its name in the journal.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Stop { .. } => "stop",
            Self::ReleaseData { .. } => "release_data",
            Self::CopyData { .. } => "copy_data",
            Self::Remove { .. } => "remove",
            Self::Purge { .. } => "purge",
            Self::PruneImages { .. } => "prune_images",
            Self::List => "list",
            Self::Socket { .. } => "socket",
            Self::Usage { .. } => "usage",
            Self::Logs { .. } => "logs",
            Self::ImageOwners => "image_owners",
            Self::DiskUse => "disk_use",
            Self::ReadOut { .. } => "read_out",
            Self::Fill { .. } => "fill",
        }
    }
}

/// `ContainerSpec`. There is no mount, no capability, no image name and no environment of the hub's in it.
#[derive(Clone, Debug, PartialEq, SchemaRead, SchemaWrite)]
pub(crate) struct Spec {
    pub(crate) trial: bool,
    pub(crate) module: String,
    pub(crate) version: String,
    pub(crate) port: Option<u16>,
    pub(crate) uid: u32,
    pub(crate) command: Command,
    pub(crate) package_dir: String,
    pub(crate) data_image: String,
    pub(crate) memory_mb: u32,
    pub(crate) cpu: f64,
    pub(crate) pids: u32,
    pub(crate) nofile: u32,
    pub(crate) data_mb: u32,
    pub(crate) devices: Vec<Grant>,
    pub(crate) egress: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) enum Command {
    Static(String),
    Python3(String),
    /// With `has_root` the image's files come beside the packet, as one regular file open for reading.
    Image {
        id: String,
        argv: Vec<String>,
        env: Vec<String>,
        working_dir: String,
        has_root: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct Grant {
    pub(crate) path: String,
    pub(crate) numbers: Vec<Number>,
}

#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct Number {
    pub(crate) major: u64,
    pub(crate) minor: u64,
}

/// From the sandbox to the core.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) enum ToCore {
    /// A call is done; descriptors come beside it.
    Done { id: u64, answer: Answer },
    /// A call failed.
    Failed { id: u64, failure: Failure },
    /// What is plugged in, at the begin and whenever that changes.
    Devices(Vec<Device>),
    /// Whether the engine answers, at the begin, after the devices, and whenever that changes.
    Engine(Engine),
    /// A run ended.
    Exit { run: String, cause: Cause },
    /// The message itself is the content of the file beside this packet, of that length.
    InFile { bytes: u64 },
    /// The last message: what the core did wrong.
    Bye { reason: String },
}

#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) enum Answer {
    Nothing,
    /// Beside it: the hub's listener, and with `egress` that for egress.
    Started {
        run: String,
        egress: bool,
    },
    Listed(Vec<Listed>),
    /// Beside it: the socket.
    Socket,
    Usage(Usage),
    /// Beside it: a file with so many bytes of UTF-8.
    Logs {
        bytes: u64,
    },
    Owners(Vec<String>),
    DiskUse(Vec<ModuleDisk>),
    /// What was to be put into a volume is no module's data.
    DataRefused(String),
    /// It is more than a volume of so many MiB takes.
    DataTooLarge {
        mib: u32,
    },
}

/// `EngineUse` of one module.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct ModuleDisk {
    pub(crate) module: String,
    pub(crate) image_bytes: u64,
    pub(crate) log_bytes: u64,
    pub(crate) data_used_bytes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct Listed {
    pub(crate) run: String,
    pub(crate) module: String,
    pub(crate) trial: bool,
    pub(crate) running: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct Usage {
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) open_ports: Vec<u16>,
    pub(crate) peak_processes: Option<u64>,
    pub(crate) programs: Option<Vec<String>>,
}

/// `SandboxError`, with all its causes in one text, and what only the channel says.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) enum Failure {
    EngineDown(String),
    Engine(String),
    Image(String),
    ImageMissing,
    DiskFull,
    DeviceChanged(String),
    RunEnded,
    System(String),
    /// The sandbox does not do such a thing for a core; it wrote that down.
    Refused {
        code: String,
        detail: String,
    },
    /// Too much is under way.
    Busy,
    /// It took longer than its limit.
    Late,
}

#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) enum Engine {
    Unknown,
    Up,
    Down(String),
}

#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) enum Cause {
    Code(i64),
    OutOfMemory,
    Gone,
    EngineRestarted,
}

#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct Device {
    pub(crate) path: String,
    pub(crate) numbers: Vec<Number>,
    /// Whether it is given to no module, and why: `numbers` is empty then.
    pub(crate) refused: Option<DeviceRefused>,
}

#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(crate) struct DeviceRefused {
    /// It can never be a module's, in contrast to one that only root may use so far.
    pub(crate) never: bool,
    pub(crate) detail: String,
}
