//! A call after it was parsed: only names, versions, ports and runs that are some.

use std::{fs::File, os::fd::OwnedFd, path::PathBuf, sync::Arc, time::Duration};

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use selena_core::ports::{Command, ContainerPurpose, ContainerSpec, DeviceGrant, ImageCommand, ImageProgram, RunId};
use selena_types::{ModuleName, ModulePort, Resources};
use semver::Version;

use crate::{
    message::{self, Call, Grant, Spec},
    server::Refusal,
    state,
};

/// What a core asks for. A [`crate::Gate`] decides whether it gets it.
#[derive(Debug)]
#[expect(missing_docs, reason = "the variants are the methods of the port `Sandbox`, which says what they do")]
pub enum Request {
    Start(Box<ContainerSpec>),
    Stop { run: RunId, grace: Duration },
    ReleaseData { module: ModuleName, image: PathBuf },
    CopyData { module: ModuleName, from: PathBuf, to: PathBuf },
    Remove { run: RunId },
    Purge { module: ModuleName },
    PruneImages { module: ModuleName, keep: Vec<Version> },
    List,
    Socket { run: RunId },
    Usage { run: RunId },
    Logs { module: ModuleName, purpose: ContainerPurpose, max_bytes: usize },
    ImageOwners,
    DiskUse,
    ReadOut { image: PathBuf, into: File },
    Fill { image: PathBuf, mib: u32, owner: u32, from: File },
}

impl Request {
    /// Parses a call with what came beside it. What is too much or of the wrong kind is closed and refused (fault I07).
    pub(crate) fn parse(call: Call, descriptors: Vec<OwnedFd>) -> Result<Self, Refusal> {
        let expected = usize::from(matches!(
            &call,
            Call::Start(Spec { command: message::Command::Image { has_root: true, .. }, .. })
                | Call::ReadOut { .. }
                | Call::Fill { .. }
        ));
        if descriptors.len() != expected {
            let detail = format!("{} descriptors came, not {expected}", descriptors.len());
            return Err(Refusal { code: "descriptors", detail });
        }
        Ok(match call {
            Call::Start(spec) => Self::Start(Box::new(container(spec, descriptors)?)),
            Call::Stop { run, grace_ms } => Self::Stop { run: self::run(run)?, grace: Duration::from_millis(grace_ms) },
            Call::ReleaseData { module, image } => Self::ReleaseData { module: name(&module)?, image: image.into() },
            Call::CopyData { module, from, to } => {
                Self::CopyData { module: name(&module)?, from: from.into(), to: to.into() }
            }
            Call::Remove { run } => Self::Remove { run: self::run(run)? },
            Call::Purge { module } => Self::Purge { module: name(&module)? },
            Call::PruneImages { module, keep } => {
                let keep = keep.iter().map(|text| version(text)).collect::<Result<_, _>>()?;
                Self::PruneImages { module: name(&module)?, keep }
            }
            Call::List => Self::List,
            Call::Socket { run } => Self::Socket { run: self::run(run)? },
            Call::Usage { run } => Self::Usage { run: self::run(run)? },
            Call::Logs { module, trial, max_bytes } => {
                let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
                Self::Logs { module: name(&module)?, purpose: purpose(trial), max_bytes }
            }
            Call::ImageOwners => Self::ImageOwners,
            Call::DiskUse => Self::DiskUse,
            Call::ReadOut { image } => {
                Self::ReadOut { image: image.into(), into: only_file(descriptors, OFlags::RDONLY)? }
            }
            Call::Fill { image, mib, owner } => {
                Self::Fill { image: image.into(), mib, owner, from: only_file(descriptors, OFlags::WRONLY)? }
            }
        })
    }
}

fn malformed(what: &str, given: &str, why: impl std::fmt::Display) -> Refusal {
    let given: String = given.chars().take(80).flat_map(char::escape_debug).collect();
    Refusal { code: "malformed", detail: format!("{what} `{given}`: {why}") }
}

fn name(text: &str) -> Result<ModuleName, Refusal> {
    ModuleName::new(text).map_err(|why| malformed("module", text, why))
}

fn version(text: &str) -> Result<Version, Refusal> {
    text.parse().map_err(|why| malformed("version", text, why))
}

/// The engine would take a name where it takes an id.
fn run(text: String) -> Result<RunId, Refusal> {
    let is_id = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_id { Ok(RunId(text)) } else { Err(malformed("run", &text, "it is not 64 hex digits")) }
}

fn purpose(trial: bool) -> ContainerPurpose {
    if trial { ContainerPurpose::Trial } else { ContainerPurpose::Module }
}

fn container(spec: Spec, descriptors: Vec<OwnedFd>) -> Result<ContainerSpec, Refusal> {
    let port = |number: u16| ModulePort::new(number).map_err(|why| malformed("port", &number.to_string(), why));
    Ok(ContainerSpec {
        purpose: purpose(spec.trial),
        module: name(&spec.module)?,
        version: version(&spec.version)?,
        port: spec.port.map(port).transpose()?,
        uid: spec.uid,
        command: command(spec.command, descriptors)?,
        package_dir: spec.package_dir.into(),
        data_image: spec.data_image.into(),
        resources: Resources {
            memory_mb: spec.memory_mb,
            cpu: spec.cpu,
            pids: spec.pids,
            nofile: spec.nofile,
            data_mb: spec.data_mb,
        },
        devices: spec.devices.into_iter().map(grant).collect(),
        egress: spec.egress,
    })
}

fn grant(grant: Grant) -> DeviceGrant {
    DeviceGrant { numbers: state::numbers_from_wire(&grant.numbers), path: grant.path }
}

fn command(command: message::Command, descriptors: Vec<OwnedFd>) -> Result<Command, Refusal> {
    Ok(match command {
        message::Command::Static(path) => Command::Static(path),
        message::Command::Python3(path) => Command::Python3(path),
        message::Command::Image { id, argv, env, working_dir, has_root: _ } => {
            let root = descriptors.into_iter().next().map(image_root).transpose()?;
            Command::Image(ImageCommand { program: ImageProgram { id, argv, env, working_dir }, root })
        }
    })
}

/// A socket or a pipe would let the core hold up the import for as long as it likes.
fn image_root(descriptor: OwnedFd) -> Result<Arc<File>, Refusal> {
    file(descriptor, OFlags::WRONLY).map(Arc::new)
}

/// A regular file that is open for more than what it is `not` for.
fn file(descriptor: OwnedFd, not: OFlags) -> Result<File, Refusal> {
    let is_file = fstat(&descriptor).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let is_open =
        fcntl_getfl(&descriptor).is_ok_and(|flags| !flags.contains(OFlags::PATH) && flags & OFlags::ACCMODE != not);
    if is_file && is_open {
        Ok(File::from(descriptor))
    } else {
        let detail = "what was passed is no regular file, or is not open for this".to_owned();
        Err(Refusal { code: "descriptor_kind", detail })
    }
}

/// The one file beside a call.
fn only_file(descriptors: Vec<OwnedFd>, not: OFlags) -> Result<File, Refusal> {
    let missing = || Refusal { code: "descriptors", detail: "no descriptor came".to_owned() };
    file(descriptors.into_iter().next().ok_or_else(missing)?, not)
}

/// The other direction, in the core: a container's specification, and what goes beside it.
///
/// # Errors
/// If a path is no text, which the engine needs too; or the descriptor cannot be copied.
pub(crate) fn spec_to_wire(spec: &ContainerSpec) -> std::io::Result<(Spec, Vec<OwnedFd>)> {
    let (command, descriptors) = command_to_wire(&spec.command)?;
    let resources = &spec.resources;
    let devices = spec.devices.iter();
    let wire = Spec {
        trial: spec.purpose == ContainerPurpose::Trial,
        module: spec.module.to_string(),
        version: spec.version.to_string(),
        port: spec.port.map(ModulePort::get),
        uid: spec.uid,
        command,
        package_dir: text(&spec.package_dir)?,
        data_image: text(&spec.data_image)?,
        memory_mb: resources.memory_mb,
        cpu: resources.cpu,
        pids: resources.pids,
        nofile: resources.nofile,
        data_mb: resources.data_mb,
        devices: devices
            .map(|grant| Grant { path: grant.path.clone(), numbers: state::numbers_to_wire(&grant.numbers) })
            .collect(),
        egress: spec.egress,
    };
    Ok((wire, descriptors))
}

fn command_to_wire(command: &Command) -> std::io::Result<(message::Command, Vec<OwnedFd>)> {
    let image = match command {
        Command::Static(path) => return Ok((message::Command::Static(path.clone()), Vec::new())),
        Command::Python3(path) => return Ok((message::Command::Python3(path.clone()), Vec::new())),
        Command::Image(image) => image,
    };
    let root = image.root.as_ref().map(|root| root.try_clone().map(OwnedFd::from)).transpose()?;
    let ImageProgram { id, argv, env, working_dir } = image.program.clone();
    Ok((message::Command::Image { id, argv, env, working_dir, has_root: root.is_some() }, root.into_iter().collect()))
}

/// A path as text.
pub(crate) fn text(path: &std::path::Path) -> std::io::Result<String> {
    let no_text = || std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("{} is no text", path.display()));
    path.to_str().map(str::to_owned).ok_or_else(no_text)
}
