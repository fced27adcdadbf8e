//! A hub without containers, and packages for it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Cursor, Write},
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;
use selena_core::{
    Api, Development, HubInfo, InstallOrder, KeyId, ModuleRecord, Modules, ModulesConfig, ModulesParts,
    identity::RequestLimits,
    ports::{
        ImageProgram, Job, ListenerHost, ModuleCalls, PackageError, PackageReader, RunId, Sandbox, Store, StoreError,
        UnpackedPackage,
    },
};
use selena_http::{Client, Server};
use selena_package::{Limits, Unpacked, unpack};
use selena_signature::{FileDigests, PackageSignature, PrivateKey, PublicKey};
use selena_store::Sqlite;
use selena_testkit::{LoopbackSandbox, no_backups};
use selena_types::{Manifest, ModuleState, ResourceLimits};
use selena_vault::{FileKeySealer, GuardedDial};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

const LIMITS: ResourceLimits = ResourceLimits { memory_mb: 1024, cpu: 2.0, data_mb: 1024 };

/// A hub that can be started again over its store.
pub(crate) struct Hub {
    dir: TempDir,
    store: Arc<dyn Store>,
    vendor_key: Option<PublicKey>,
    pub(crate) api: Arc<Api>,
    pub(crate) modules: Arc<Modules>,
}

#[derive(Debug)]
struct Packages;

impl PackageReader for Packages {
    fn unpack(&self, zip: &File, into: &Path) -> Result<UnpackedPackage, PackageError> {
        match unpack(zip, into, &Limits::default()) {
            Ok(Unpacked { manifest, signature, files }) => Ok(UnpackedPackage { manifest, signature, files }),
            Err(error) => Err(PackageError::Refused { code: error.code(), message: error.to_string() }),
        }
    }

    fn pack(&self, _package: &Path, _into: &File) -> Result<(), PackageError> {
        Err(PackageError::Refused { code: "zip_corrupt", message: "nothing is packed here".to_owned() })
    }

    fn unpack_packed(&self, zip: &File, into: &Path) -> Result<UnpackedPackage, PackageError> {
        self.unpack(zip, into)
    }

    fn image_program(&self, _image: &File) -> Result<ImageProgram, PackageError> {
        Err(PackageError::Refused { code: "image_corrupt", message: "there are no images here".to_owned() })
    }

    fn flatten_image(&self, image: &File, _into: &File) -> Result<Vec<String>, PackageError> {
        self.image_program(image).map(|_| Vec::new())
    }
}

impl Hub {
    pub(crate) async fn start() -> Self {
        Self::with_vendor(None).await
    }

    pub(crate) async fn with_vendor(vendor_key: Option<PublicKey>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory().expect("a store"));
        let (api, modules) = assemble(dir.path(), store.clone(), vendor_key.clone()).await;
        Self { dir, store, vendor_key, api, modules }
    }

    /// The same hub after its end: only what was stored is known.
    pub(crate) async fn start_again(self) -> Self {
        let Self { dir, store, vendor_key, .. } = self;
        let (api, modules) = assemble(dir.path(), store.clone(), vendor_key.clone()).await;
        Self { dir, store, vendor_key, api, modules }
    }

    /// Adds a key by its person.
    pub(crate) async fn add(&self, name: &str, key: &PrivateKey) -> KeyId {
        let body = json!({ "name": name, "public_key": key.public().to_base64() });
        self.modules.publishers().add(&body, "uid 0").await.expect("a new key").key.id()
    }

    /// What becomes of a package: the code and the text of its refusal. One that is taken fails at its trial.
    pub(crate) async fn install(&self, zip: &[u8]) -> (String, String) {
        self.install_as(zip, false).await
    }

    /// The same, where a person may have said that the version may be lower.
    pub(crate) async fn install_as(&self, zip: &[u8], allow_downgrade: bool) -> (String, String) {
        let upload = self.modules.new_upload("uid 0").await.expect("a place");
        std::fs::write(upload.zip_path(), zip).expect("written");
        let order = InstallOrder { who: "uid 0".to_owned(), allow_downgrade };
        let outcome = match self.modules.install(upload, order).await {
            Ok(installing) => installing.outcome().await.map(|_| ()),
            Err(error) => Err(error),
        };
        let error = outcome.expect_err("nothing runs without containers");
        (error.code().to_owned(), error.to_string())
    }

    #[track_caller]
    pub(crate) fn details(&self, module: &str) -> Value {
        self.modules.details(&module.parse().expect("a name")).expect("it is installed")
    }

    /// Whether the package passes all checks that come before its trial.
    pub(crate) async fn takes(&self, zip: &[u8]) -> bool {
        let (code, text) = self.install(zip).await;
        assert!(
            ["container_error", "manifest_signature", "manifest_conflict"].contains(&code.as_str()),
            "{code}: {text}"
        );
        code == "container_error"
    }

    /// A module that is installed and stopped, as if it had been installed from that package; then starts again.
    pub(crate) async fn with_module(self, package: &Package, signed_by: Option<KeyId>) -> Self {
        let text = package.manifest.to_string();
        let manifest =
            Manifest::parse(text.as_bytes(), &self.api.info().version, &LIMITS).expect("a good one").manifest;
        let record = ModuleRecord {
            name: manifest.name,
            version: manifest.version,
            module_type: manifest.module_type,
            runtime_mode: manifest.runtime_mode,
            manifest: text,
            has_main_py: true,
            signed_by,
            state: ModuleState::Stopped,
            error: None,
            port: manifest.port,
            uid: 400_000,
            wanted: false,
            webhook_secret: Vec::new(),
            token: None,
            granted: json!({ "permissions": [], "egress": [], "devices": [], "oauth": {} }),
            installed_at: Timestamp::now(),
            started_at: None,
            report: None,
            crashes: Vec::new(),
            previous: None,
            on_probation: false,
            last_update: None,
        };
        let (done, stored) = tokio::sync::oneshot::channel();
        self.store.write(Job {
            run: Box::new(move |tx| tx.put_module(&record)),
            done: Box::new(|outcome| drop(done.send(outcome))),
        });
        stored.await.expect("an answer").expect("stored");
        self.start_again().await
    }
}

async fn assemble(dir: &Path, store: Arc<dyn Store>, vendor_key: Option<PublicKey>) -> (Arc<Api>, Arc<Modules>) {
    let sandbox: Arc<dyn Sandbox> = Arc::new(LoopbackSandbox::new(RunId("none".to_owned())));
    let calls: Arc<dyn ModuleCalls> = Arc::new(Client::new(sandbox.clone()));
    let info = HubInfo {
        version: semver::Version::new(1, 0, 0),
        commit: String::new(),
        build_time: String::new(),
        hardware: Value::Null,
        os: Value::Null,
    };
    let api = Api::new(info, store, calls.clone(), Development::default(), RequestLimits::Lifted).await;
    let api = Arc::new(api.expect("an API"));
    let listeners: Arc<dyn ListenerHost> = Arc::new(Server);
    std::fs::create_dir_all(dir.join("data")).expect("a directory");
    let modules = Modules::load(ModulesParts {
        api: api.clone(),
        sandbox,
        calls,
        listeners,
        dial: Arc::new(GuardedDial::default()),
        packages: Arc::new(Packages),
        sealer: Arc::new(FileKeySealer::open_or_create(dir).expect("a key")),
        memory_store: Arc::new(|| match Sqlite::in_memory() {
            Ok(store) => Ok(Arc::new(store)),
            Err(_) => Err(StoreError::Stopped),
        }),
        backup: no_backups(),
        config: ModulesConfig {
            data_dir: dir.join("data"),
            limits: LIMITS,
            enabled: Vec::new(),
            module_config: BTreeMap::new(),
            vendor_key,
        },
    });
    (api, modules.await.expect("a readable store"))
}

/// A package being made.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) manifest: Value,
    files: BTreeMap<String, Vec<u8>>,
}

impl Package {
    pub(crate) fn new(version: &str) -> Self {
        let manifest = json!({
            "name": "lamp", "version": version, "type": "DRIVER", "api_version": "1.0", "port": 8100, "permissions": [],
        });
        Self { manifest, files: BTreeMap::new() }.file("main.py", b"print('lamp')\n")
    }

    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.manifest[field] = value;
        self
    }

    pub(crate) fn file(mut self, path: &str, content: &[u8]) -> Self {
        self.files.insert(path.to_owned(), content.to_vec());
        self
    }

    fn all(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.files.clone();
        files.insert("manifest.json".to_owned(), self.manifest.to_string().into_bytes());
        files
    }

    /// The package with its signature among its files.
    pub(crate) fn signed(&self, key: &PrivateKey) -> Self {
        let digests = self.all().into_iter().map(|(path, content)| (path, Sha256::digest(content).into())).collect();
        let signature = PackageSignature::sign(key, FileDigests::new(digests));
        self.clone().file(PackageSignature::FILE, signature.to_json().as_bytes())
    }

    pub(crate) fn zip(&self) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for (path, content) in self.all() {
            zip.start_file(path, options).expect("an entry");
            zip.write_all(&content).expect("written");
        }
        zip.finish().expect("a ZIP").into_inner()
    }
}

/// A new key.
pub(crate) fn key() -> PrivateKey {
    PrivateKey::generate().expect("randomness")
}
