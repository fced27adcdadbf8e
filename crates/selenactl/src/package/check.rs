//! Everything that is wrong with a package, odd about it, or for a person to grant.

use std::collections::BTreeSet;

use selena_signature::KeyId;
use selena_types::{
    Loc, Manifest, ModuleType, OAuthProvider, ParsedManifest, Permission, Problem, Problems, ResourceLimits, Runtime,
    Transport,
};
use semver::Version;
use serde_json::{Map, Value, json};

use super::{
    Entry, Kind, MAX_ARCHIVE_BYTES, MAX_ENTRIES, MAX_RATIO, MAX_TOTAL_BYTES, Package, PackageError, RATIO_FROM_BYTES,
    Source, names, program, sign,
};

/// What no hub has more of to give to one module; each hub has less, by its own memory and cores.
const LIMITS: ResourceLimits = ResourceLimits { memory_mb: 32_768, cpu: 64.0, data_mb: 65_536 };

const MANIFEST: &str = "manifest.json";
/// The container image of a package whose runtime is `oci`; a hub reads it, this does not.
const IMAGE: &str = "image.tar";

const INVALID: &str = "manifest_invalid";
const INCOMPATIBLE: &str = "manifest_incompatible";
/// The code of a program that is there and cannot run; a hub finds it out by its trial.
const ENTRY_POINT: &str = "entry_point";

/// What was found.
#[derive(Debug)]
pub(crate) struct Report {
    /// The manifest, if it is a good one.
    pub(crate) manifest: Option<Manifest>,
    /// What makes a hub refuse it.
    pub(crate) problems: Problems,
    /// What is odd and taken all the same.
    pub(crate) warnings: Vec<Problem>,
    /// How many files it has.
    pub(crate) files: usize,
    /// Their bytes, unpacked.
    pub(crate) bytes: u64,
    /// The key it says it is signed with; whether that is true, only who has the key's public half can tell.
    pub(crate) signed_by: Option<KeyId>,
}

impl Report {
    /// What only a person can grant, in the form of the protocol's `adds` (section 2, "Consent").
    pub(crate) fn adds(&self) -> Value {
        let manifest = self.manifest.as_ref();
        let permissions: Vec<Permission> = manifest
            .into_iter()
            .flat_map(|manifest| &manifest.permissions)
            .filter(|permission| permission.needs_consent())
            .copied()
            .collect();
        let egress = manifest.map(|manifest| manifest.egress.as_slice()).unwrap_or_default().iter();
        let egress: Vec<_> = egress
            .map(|rule| json!({"host": rule.host, "port": rule.port, "protocol": rule.protocol, "lan": rule.lan}))
            .collect();
        let hosts: Vec<_> =
            manifest.into_iter().flat_map(|manifest| manifest.oauth.values()).flat_map(OAuthProvider::hosts).collect();
        let devices = manifest.map(|manifest| manifest.devices.as_slice()).unwrap_or_default();
        let mut adds = json!({"permissions": permissions, "egress": egress, "devices": devices, "oauth_hosts": hosts});
        let providers = manifest.into_iter().flat_map(|manifest| &manifest.oauth);
        let oauth: Map<_, _> = providers.map(|(name, provider)| (name.clone(), provider.rights())).collect();
        if !oauth.is_empty() {
            adds["oauth"] = oauth.into();
        }
        adds
    }
}

/// Checks a package as the hub will (protocol, sections 2 and 3; faults, series Z and M).
pub(crate) fn check(package: &mut Package) -> Result<Report, PackageError> {
    let mut problems = Problems::default();
    check_sizes(package, &mut problems);
    package.entries.iter().for_each(|entry| check_entry(entry, &mut problems));
    for twin in names::twins(package.entries.iter().map(|entry| entry.path.as_str())) {
        problems.add([twin.into()], "zip_duplicate", "it differs from another path in capitals only");
    }
    let mut warnings = Vec::new();
    let mut manifest = None;
    if let Some(parsed) = read_manifest(package, &mut problems)? {
        warnings = parsed.warnings;
        check_incompatible(package, &parsed.manifest, &mut problems);
        check_program(package, &parsed.manifest, &mut problems)?;
        warnings.extend(missing_pages(package, &parsed.manifest));
        manifest = Some(parsed.manifest);
    }
    let signed_by = sign::check(package, &mut problems)?;
    Ok(Report { manifest, problems, warnings, files: package.entries.len(), bytes: total_bytes(package), signed_by })
}

fn total_bytes(package: &Package) -> u64 {
    package.entries.iter().fold(0, |total: u64, entry| total.saturating_add(entry.bytes))
}

fn check_sizes(package: &Package, problems: &mut Problems) {
    let mib = |bytes: u64| bytes >> 20;
    if let Source::Archive { bytes, .. } = package.source
        && bytes > MAX_ARCHIVE_BYTES
    {
        problems.add([], "zip_size", format!("the package is larger than {} MiB", mib(MAX_ARCHIVE_BYTES)));
    }
    if total_bytes(package) > MAX_TOTAL_BYTES {
        problems.add([], "zip_size", format!("the files have more than {} MiB together", mib(MAX_TOTAL_BYTES)));
    }
    let parents = |entry: &'_ Entry| entry.path.match_indices('/').map(|(at, _)| at).collect::<Vec<_>>();
    let directories: BTreeSet<&str> =
        package.entries.iter().flat_map(|entry| parents(entry).into_iter().map(|at| &entry.path[..at])).collect();
    if package.entries.len() > MAX_ENTRIES || directories.len() > MAX_ENTRIES {
        problems.add([], "zip_entries", format!("there are more than {MAX_ENTRIES} files or directories"));
    }
}

fn check_entry(entry: &Entry, problems: &mut Problems) {
    let at = || [Loc::from(entry.path.as_str())];
    if let Some((code, why)) = names::problem(&entry.path) {
        problems.add(at(), code, why);
    }
    if entry.kind == Kind::Other {
        problems.add(at(), "zip_type", "links, devices and files with setuid or setgid are not taken");
    }
    let packed = entry.packed_bytes.unwrap_or(u64::MAX);
    if entry.bytes > RATIO_FROM_BYTES && entry.bytes > packed.saturating_mul(MAX_RATIO) {
        problems.add(at(), "zip_ratio", format!("it unpacks to more than {MAX_RATIO} times its size"));
    }
}

fn read_manifest(package: &mut Package, problems: &mut Problems) -> Result<Option<ParsedManifest>, PackageError> {
    if package.entry(MANIFEST).is_none_or(|entry| entry.kind == Kind::Other) {
        problems.add([MANIFEST.into()], INVALID, "it is not there; it lies at the top of the package");
        return Ok(None);
    }
    let text = package.read(MANIFEST, Manifest::MAX_BYTES as u64 + 1)?;
    let core: Version = env!("CARGO_PKG_VERSION").parse().expect("cargo takes semantic versions only");
    match Manifest::parse(&text, &core, &LIMITS) {
        Ok(parsed) => Ok(Some(parsed)),
        Err(found) => {
            problems.0.extend(found.0);
            Ok(None)
        }
    }
}

/// What the protocol has and hubs of this version do not take.
fn check_incompatible(package: &Package, manifest: &Manifest, problems: &mut Problems) {
    if manifest.module_type == ModuleType::System && !package.is_signed() {
        let why = "SYSTEM is for parts of the hub itself: it needs the hub vendor's signature";
        problems.add(["type".into()], "manifest_signature", why);
    }
    if manifest.transport == Transport::Ipc {
        problems.add(["transport".into()], INCOMPATIBLE, "hubs do not speak the native wire yet: use http");
    }
}

/// The program that is started is there, and can be started.
fn check_program(package: &mut Package, manifest: &Manifest, problems: &mut Problems) -> Result<(), PackageError> {
    let runtime = manifest.runtime_with(package.entry("main.py").is_some());
    if runtime == Runtime::Oci && package.entry(IMAGE).is_none() {
        let why = "the image is not there; put it beside manifest.json: `docker save NAME -o image.tar`";
        problems.add([IMAGE.into()], INVALID, why);
    }
    let Some(path) = manifest.entry_point_with(runtime) else { return Ok(()) };
    let at = [Loc::from(path.as_str())];
    match package.entry(&path).map(|entry| entry.kind) {
        None if runtime == Runtime::Static => {
            let why = "the program is not there; build it, and put it beside manifest.json, or say `entry_point`";
            problems.add(at, INVALID, why);
        }
        None => problems.add(at, INVALID, "the program is not there"),
        Some(Kind::File) if runtime == Runtime::Static => {
            problems.add(at, ENTRY_POINT, "it is not executable: `chmod +x` it");
        }
        Some(Kind::Executable) if runtime == Runtime::Static => {
            let head = package.read(&path, program::HEAD_BYTES)?;
            if let Some(why) = program::problem(&head) {
                problems.add(at, ENTRY_POINT, why);
            }
        }
        Some(_) => {}
    }
    Ok(())
}

/// The pages that the manifest names and the package lacks; a module may make them itself.
fn missing_pages(package: &Package, manifest: &Manifest) -> Vec<Problem> {
    let ui = manifest.ui.clone().unwrap_or_default();
    let pages = [("icon", ui.icon), ("settings", ui.settings), ("widget", ui.widget.map(|(file, _)| file))];
    let missing = pages.into_iter().filter_map(|(key, file)| Some((key, file?)));
    let missing = missing.filter(|(_, file)| package.entry(file).is_none());
    let warning = |(key, file): (&str, String)| Problem {
        loc: vec!["ui".into(), key.into()],
        msg: format!("the package has no {file}; the module has to make that page itself"),
        code: "manifest_warning".to_owned(),
    };
    missing.map(warning).collect()
}
