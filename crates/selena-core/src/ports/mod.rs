//! What the core needs from the world, as traits; other crates implement them and `selenad` wires them.

mod copies;
mod dial;
mod host_devices;
mod https;
mod https_url;
mod listen;
mod outbound;
mod package;
mod sandbox;
mod seal;
mod store;
mod vault;
mod volumes;

pub use copies::{CopyError, DATABASE_FILE, StoreCopies};
pub use dial::{Dial, DialError, DialTarget};
pub use host_devices::{DeviceGrant, DeviceNumber, DeviceRefusal, HostDevice, HostDeviceKind, HostDevices};
pub use https::{Https, HttpsAnswer, HttpsError, HttpsRequest};
pub use https_url::HttpsUrl;
pub use listen::{ListenerHost, ServedListener};
pub use outbound::{CallError, ModuleAddress, ModuleAnswer, ModuleCalls, ModuleRequest};
pub use package::{PackageError, PackageReader, UnpackedPackage};
pub use sandbox::{
    Command, ContainerExit, ContainerPurpose, ContainerSpec, EngineState, EngineUse, ExitCause, ImageCommand,
    ImageProgram, ListedContainer, MODULE_UIDS, RunId, RunUsage, Sandbox, SandboxError, StartedContainer,
};
pub use seal::{SealError, Sealer};
pub use store::{
    Commit, CommitObserver, DeviceChange, Done, EventPage, EventQuery, Job, ReadJob, Rows, Store, StoreError,
    TableBytes, Tx, Work,
};
pub use vault::{StoredSecret, Vault, VaultCounters, VaultError};
pub use volumes::{DataVolumes, VolumeError};
