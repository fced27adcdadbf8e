//! A sandbox without containers, whose starts wait for the test.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, Write},
    net::TcpListener,
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use rustix::net::{AddressFamily, SocketType, socket};
use selena_core::ports::{
    Command, ContainerExit, ContainerPurpose, ContainerSpec, DataVolumes, DeviceNumber, DeviceRefusal, EngineState,
    EngineUse, HostDevice, HostDeviceKind, HostDevices, ListedContainer, RunId, RunUsage, Sandbox, SandboxError,
    StartedContainer, VolumeError,
};
use selena_types::{ModuleName, Resources};
use semver::Version;
use tokio::sync::{Semaphore, mpsc, watch};

/// What it was asked, in order.
#[derive(Debug)]
pub(super) struct FakeSandbox {
    pub(super) engine: watch::Sender<EngineState>,
    pub(super) devices: watch::Sender<Arc<HostDevices>>,
    pub(super) exits: mpsc::UnboundedSender<ContainerExit>,
    exits_receiver: Mutex<Option<mpsc::UnboundedReceiver<ContainerExit>>>,
    /// One permit for each start that may come to its end.
    pub(super) starts: Semaphore,
    runs: AtomicU64,
    asked: Mutex<Vec<String>>,
    told: watch::Sender<usize>,
}

impl Default for FakeSandbox {
    fn default() -> Self {
        let (exits, receiver) = mpsc::unbounded_channel();
        Self {
            engine: watch::Sender::new(EngineState::Up),
            devices: watch::Sender::new(Arc::new(devices())),
            exits,
            exits_receiver: Mutex::new(Some(receiver)),
            starts: Semaphore::new(1000),
            runs: AtomicU64::default(),
            asked: Mutex::default(),
            told: watch::Sender::default(),
        }
    }
}

pub(super) fn devices() -> HostDevices {
    let number = DeviceNumber { major: 188, minor: 1 };
    let refusal = DeviceRefusal { code: "device_access", detail: "only root".to_owned() };
    BTreeMap::from([
        ("/dev/serial/by-id/stick".to_owned(), HostDevice { kind: HostDeviceKind::Serial, numbers: Ok(vec![number]) }),
        ("/dev/i2c-1".to_owned(), HostDevice { kind: HostDeviceKind::I2c, numbers: Err(refusal) }),
    ])
}

pub(super) fn spec(name: &str) -> ContainerSpec {
    ContainerSpec {
        purpose: ContainerPurpose::Module,
        module: ModuleName::new(name).unwrap(),
        version: "1.2.0-rc.1+b5".parse().unwrap(),
        port: Some(8101.try_into().unwrap()),
        uid: 400_001,
        command: Command::Static("bin/run".to_owned()),
        package_dir: "/data/modules/x".into(),
        data_image: "/data/volumes/x.ext4".into(),
        resources: Resources { memory_mb: 64, cpu: 0.5, pids: 10, nofile: 64, data_mb: 8 },
        devices: Vec::new(),
        egress: false,
    }
}

impl FakeSandbox {
    pub(super) fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
        self.told.send_modify(|count| *count += 1);
    }

    /// All it was asked.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked that.
    pub(super) async fn was_asked(&self, what: &str) {
        let mut told = self.told.subscribe();
        let found = told.wait_for(|_| self.asked.lock().unwrap().iter().any(|asked| asked == what));
        super::soon(what, found).await.unwrap();
    }
}

/// The id of the n-th run.
pub(super) fn run(number: u64) -> RunId {
    RunId(format!("{number:064x}"))
}

fn content(command: &Command) -> String {
    let Command::Image(image) = command else { return String::new() };
    let mut text = String::new();
    if let Some(mut root) = image.root.as_deref() {
        root.rewind().unwrap();
        root.read_to_string(&mut text).unwrap();
    }
    text
}

impl Sandbox for FakeSandbox {
    fn engine(&self) -> watch::Receiver<EngineState> {
        self.engine.subscribe()
    }

    fn exits(&self) -> mpsc::UnboundedReceiver<ContainerExit> {
        self.exits_receiver.lock().unwrap().take().unwrap()
    }

    fn devices(&self) -> watch::Receiver<Arc<HostDevices>> {
        self.devices.subscribe()
    }

    fn start(&self, spec: ContainerSpec) -> BoxFuture<'_, Result<StartedContainer, SandboxError>> {
        Box::pin(async move {
            self.note(format!("start {}", spec.module));
            self.starts.acquire().await.unwrap().forget();
            self.note(format!("started {spec:?} {}", content(&spec.command)));
            match spec.module.as_str() {
                "no-image" => return Err(SandboxError::ImageMissing),
                "no-disk" => return Err(SandboxError::DiskFull { attempted: "x" }),
                "ended" => return Err(SandboxError::RunEnded),
                "swapped" => return Err(SandboxError::DeviceChanged("/dev/i2c-1".to_owned())),
                "down" => return Err(SandboxError::EngineDown { attempted: "dialling", source: "no answer".into() }),
                _ => {}
            }
            let listener = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
            let run = run(self.runs.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(StartedContainer { run, listener: listener(), egress_listener: spec.egress.then(listener) })
        })
    }

    fn stop(&self, run: &RunId, grace: Duration) -> BoxFuture<'_, Result<(), SandboxError>> {
        self.note(format!("stop {run} {grace:?}"));
        Box::pin(async { Ok(()) })
    }

    fn release_data(&self, module: &ModuleName, image: &Path) -> BoxFuture<'_, Result<(), SandboxError>> {
        self.note(format!("release {module} {}", image.display()));
        Box::pin(async { Ok(()) })
    }

    fn copy_data(&self, module: &ModuleName, from: &Path, to: &Path) -> BoxFuture<'_, Result<(), SandboxError>> {
        self.note(format!("copy {module} {} {}", from.display(), to.display()));
        Box::pin(async { Ok(()) })
    }

    fn remove(&self, run: &RunId) -> BoxFuture<'_, Result<(), SandboxError>> {
        let what = format!("remove {}", run.0);
        Box::pin(async move {
            self.note(what);
            Ok(())
        })
    }

    fn purge(&self, module: &ModuleName) -> BoxFuture<'_, Result<(), SandboxError>> {
        let what = format!("purge {module}");
        Box::pin(async move {
            self.note(what);
            Ok(())
        })
    }

    fn prune_images(&self, module: &ModuleName, keep: &[Version]) -> BoxFuture<'_, Result<(), SandboxError>> {
        let keep: Vec<_> = keep.iter().map(Version::to_string).collect();
        self.note(format!("prune {module} {}", keep.join(" ")));
        Box::pin(async { Ok(()) })
    }

    fn image_owners(&self) -> BoxFuture<'_, Result<Vec<ModuleName>, SandboxError>> {
        Box::pin(async { Ok(vec![ModuleName::new("lamp").unwrap(), ModuleName::new("oven").unwrap()]) })
    }

    fn disk_use(&self) -> BoxFuture<'_, Result<BTreeMap<String, EngineUse>, SandboxError>> {
        let lamp = EngineUse { image_bytes: 1, log_bytes: 2, data_used_bytes: Some(3) };
        let oven = EngineUse { image_bytes: u64::MAX, log_bytes: 0, data_used_bytes: None };
        Box::pin(async move { Ok(BTreeMap::from([("lamp".to_owned(), lamp), ("oven".to_owned(), oven)])) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<ListedContainer>, SandboxError>> {
        let one = |number| ListedContainer { run: run(number), module: "m".repeat(64), trial: false, running: true };
        Box::pin(async move { Ok((0..5000).map(one).collect()) })
    }

    fn socket(&self, _run: &RunId) -> BoxFuture<'_, Result<OwnedFd, SandboxError>> {
        Box::pin(async { Ok(socket(AddressFamily::INET, SocketType::STREAM, None).unwrap()) })
    }

    fn usage(&self, _run: &RunId) -> BoxFuture<'_, Result<RunUsage, SandboxError>> {
        let programs = Some(vec!["/app/x".to_owned()]);
        let usage = RunUsage { peak_memory_bytes: Some(7), open_ports: vec![8101], peak_processes: None, programs };
        Box::pin(async { Ok(usage) })
    }

    fn logs(
        &self,
        _module: &ModuleName,
        purpose: ContainerPurpose,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<String, SandboxError>> {
        let letter = if purpose == ContainerPurpose::Trial { "t" } else { "m" };
        Box::pin(async move { Ok(letter.repeat(max_bytes)) })
    }
}

impl DataVolumes for FakeSandbox {
    fn read_out<'a>(&'a self, image: &'a Path, into: OwnedFd) -> BoxFuture<'a, Result<(), VolumeError>> {
        self.note(format!("read out {}", image.display()));
        File::from(into).write_all(b"a tar").unwrap();
        Box::pin(async { Ok(()) })
    }

    fn fill<'a>(
        &'a self,
        image: &'a Path,
        mib: u32,
        owner: u32,
        from: OwnedFd,
    ) -> BoxFuture<'a, Result<(), VolumeError>> {
        let mut text = String::new();
        File::from(from).read_to_string(&mut text).unwrap();
        self.note(format!("fill {} {mib} {owner} {text}", image.display()));
        Box::pin(async move {
            match text.as_str() {
                "a tar" => Ok(()),
                "a large tar" => Err(VolumeError::TooLarge { mib }),
                _ => Err(VolumeError::Refused("no tar".to_owned())),
            }
        })
    }
}
