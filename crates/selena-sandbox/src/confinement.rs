//! What a core may ask for when it is another process: the core parses what strangers send, and may be taken over.
//!
//! A core that was taken over **can** do what the hub is for: install, start, stop and remove modules of its own making,
//! each in its sandbox; hand one module's data, its listener and its egress to whom it likes; give modules devices of the
//! classes of the protocol's section 3; mix up or delete what lies in the data directory, which is its own.
//!
//! It **cannot** ask for any other container, image, volume or name than `selena-module-<name>` and `selena-test-<name>` of
//! this hub; for a mount, a capability, a privileged container, a namespace, a seccomp profile or a label; for a user
//! that is not a module's; for more than one module gets; for a file outside the data directory, over a link, or swapped
//! between the check and the use; for a device of another class; for a file system of its own making to be mounted; nor
//! make room for itself here by lengths, calls or descriptors.
//!
//! What is refused is one line of the journal with the fields `refusal`, `call` and `detail`.

use std::{
    ops::RangeInclusive,
    path::{Component, Path},
    time::Duration,
};

use selena_channel::{Gate, Refusal, Request};
use selena_core::ports::{ContainerPurpose, ContainerSpec, MODULE_UIDS};
use selena_types::{ModuleName, ResourceLimits, is_device_path};

use crate::{config::SandboxConfig, validation};

/// Longest grace of a stop: what is stopped is not the core's to keep.
const LONGEST_GRACE: Duration = Duration::from_secs(60);
/// Most devices of one module.
const MAX_DEVICES: usize = 32;

/// The rules, and what of them the operator decides.
#[derive(Clone, Debug)]
pub struct Confinement {
    config: SandboxConfig,
    uids: RangeInclusive<u32>,
    limits: ResourceLimits,
}

impl Confinement {
    /// The rules of a sandbox with that configuration; no module gets more than these limits.
    #[must_use]
    pub fn new(config: SandboxConfig, limits: ResourceLimits) -> Self {
        Self { config, uids: MODULE_UIDS, limits }
    }

    fn start(&self, spec: &ContainerSpec) -> Result<(), Refusal> {
        let Self { uids, limits, .. } = self;
        rule(uids.contains(&spec.uid), "uid", || format!("user {} is no module's: {uids:?}", spec.uid))?;
        let asked = &spec.resources;
        rule(asked.fits(limits), "resources", || format!("{asked:?} is more than {limits:?}"))?;
        let is_trial = spec.purpose == ContainerPurpose::Trial;
        self.place(&spec.package_dir, |below| match below {
            ["staging", _, "package"] => is_trial,
            ["modules", name] => !is_trial && *name == spec.module.as_str(),
            _ => false,
        })?;
        self.place(&spec.data_image, |below| match below {
            ["staging", _, "trial.ext4"] => is_trial,
            ["volumes", file] => !is_trial && is_volume(file, &spec.module),
            _ => false,
        })?;
        rule(spec.devices.len() <= MAX_DEVICES, "devices", || format!("{} devices", spec.devices.len()))?;
        let foreign = spec.devices.iter().find(|grant| !is_device_path(&grant.path));
        rule(foreign.is_none(), "device", || format!("{foreign:?} is of no class that a module may have"))?;
        match validation::problem(&self.config, spec) {
            Some(detail) => Err(Refusal { code: "container", detail }),
            None => Ok(()),
        }
    }

    /// Whether a path is one of the few that the core's layout has. It is opened without following a link later on; this
    /// is about which file it may be.
    fn place(&self, path: &Path, is_good: impl FnOnce(&[&str]) -> bool) -> Result<(), Refusal> {
        let below = path.strip_prefix(&self.config.data_dir).ok().and_then(|below| {
            let part = |part| match part {
                Component::Normal(name) => name.to_str(),
                _ => None,
            };
            below.components().map(part).collect::<Option<Vec<_>>>()
        });
        let good = below.is_some_and(|below| is_good(&below));
        rule(good, "path", || format!("`{}` is no place for this", path.display()))
    }
}

fn rule(holds: bool, code: &'static str, detail: impl FnOnce() -> String) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal { code, detail: detail() }) }
}

/// Whether this is the name of a module's data image.
fn is_volume(file: &str, module: &ModuleName) -> bool {
    file.strip_suffix(".ext4") == Some(module.as_str())
}

fn is_some_volume(file: &str) -> bool {
    file.strip_suffix(".ext4").is_some_and(|name| ModuleName::new(name).is_ok())
}

impl Gate for Confinement {
    fn check(&self, request: &Request) -> Result<(), Refusal> {
        match request {
            Request::Start(spec) => self.start(spec),
            Request::Stop { grace, .. } => rule(*grace <= LONGEST_GRACE, "grace", || format!("{grace:?} of grace")),
            Request::ReleaseData { module, image } => self.place(image, |below| match below {
                ["volumes", file] => is_volume(file, module),
                ["previous", name, "data.ext4"] => *name == module.as_str(),
                _ => false,
            }),
            Request::CopyData { module, from, to } => {
                self.place(from, |below| matches!(below, ["volumes", file] if is_volume(file, module)))?;
                self.place(to, |below| matches!(below, ["aside", name, "data.ext4"] if *name == module.as_str()))
            }
            Request::ReadOut { image, .. } => self.place(image, |below| match below {
                ["volumes", file] => is_some_volume(file),
                ["previous", name, "data.ext4"] => ModuleName::new(name).is_ok(),
                _ => false,
            }),
            // A restore lays its volumes ready in the directory of its upload.
            Request::Fill { image, mib, owner, .. } => {
                self.place(image, |below| match below {
                    ["staging", _upload, "volumes", file] => is_some_volume(file),
                    ["staging", _upload, "previous", name, "data.ext4"] => ModuleName::new(name).is_ok(),
                    _ => false,
                })?;
                rule(self.uids.contains(owner), "uid", || format!("data of the user {owner}"))?;
                rule(*mib <= self.limits.data_mb, "data_mb", || format!("a volume of {mib} MiB"))
            }
            // Names are parsed, runs are looked up: what is another hub's, or none, is refused where it is found.
            Request::Remove { .. }
            | Request::Purge { .. }
            | Request::PruneImages { .. }
            | Request::List
            | Request::Socket { .. }
            | Request::Usage { .. }
            | Request::Logs { .. }
            | Request::ImageOwners
            | Request::DiskUse => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use selena_core::ports::{Command, DeviceGrant, RunId};
    use selena_types::Resources;

    use super::*;

    struct Fixture {
        dir: tempfile::TempDir,
        gate: Confinement,
    }

    fn fixture() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        for name in ["modules/lamp", "modules/other", "staging/u1/package"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let state = dir.path().join("state");
        let config = SandboxConfig::new("/bin/sh".into(), dir.path().to_owned(), state, "h".to_owned());
        let gate = Confinement::new(config, ResourceLimits { memory_mb: 256, cpu: 2.0, data_mb: 64 });
        Fixture { dir, gate }
    }

    impl Fixture {
        fn path(&self, below: &str) -> PathBuf {
            self.dir.path().join(below)
        }

        fn spec(&self) -> ContainerSpec {
            ContainerSpec {
                purpose: ContainerPurpose::Module,
                module: ModuleName::new("lamp").unwrap(),
                version: "1.0.0".parse().unwrap(),
                port: None,
                uid: 400_001,
                command: Command::Static("run".to_owned()),
                package_dir: self.path("modules/lamp"),
                data_image: self.path("volumes/lamp.ext4"),
                resources: Resources { memory_mb: 256, cpu: 2.0, pids: 500, nofile: 1024, data_mb: 64 },
                devices: Vec::new(),
                egress: true,
            }
        }

        fn trial(&self) -> ContainerSpec {
            ContainerSpec {
                purpose: ContainerPurpose::Trial,
                package_dir: self.path("staging/u1/package"),
                data_image: self.path("staging/u1/trial.ext4"),
                egress: false,
                ..self.spec()
            }
        }

        fn start(&self, spec: ContainerSpec) -> Option<&'static str> {
            self.gate.check(&Request::Start(Box::new(spec))).err().map(|refusal| refusal.code)
        }
    }

    #[test]
    fn what_the_core_asks_for_by_itself_passes() {
        let fixture = fixture();
        assert_eq!(fixture.start(fixture.spec()), None);
        assert_eq!(fixture.start(fixture.trial()), None);
        let module = ModuleName::new("lamp").unwrap();
        let volume = fixture.path("volumes/lamp.ext4");
        let requests = [
            Request::ReleaseData { module: module.clone(), image: volume.clone() },
            Request::CopyData { module: module.clone(), from: volume, to: fixture.path("aside/lamp/data.ext4") },
            Request::Stop { run: RunId("a".repeat(64)), grace: Duration::from_secs(5) },
            Request::Purge { module },
            Request::List,
        ];
        for request in requests {
            assert_eq!(fixture.gate.check(&request), Ok(()), "{request:?}");
        }
    }

    /// Makes one thing of a good container wrong.
    type Spoil = fn(&Fixture, &mut ContainerSpec);

    #[test]
    fn what_a_core_that_was_taken_over_asks_for_is_refused() {
        let fixture = fixture();
        let grant = |path: &str| DeviceGrant { path: path.to_owned(), numbers: Vec::new() };
        assert!(!is_device_path(&grant("/dev/mem").path));
        let spoilt: &[(&str, Spoil)] = &[
            ("uid", |_, spec| spec.uid = 0),
            ("uid", |_, spec| spec.uid = 1000),
            ("uid", |_, spec| spec.uid = 399_999),
            ("uid", |_, spec| spec.uid = u32::MAX),
            ("resources", |_, spec| spec.resources.memory_mb = 257),
            ("resources", |_, spec| spec.resources.cpu = 2.5),
            ("resources", |_, spec| spec.resources.cpu = f64::NAN),
            ("resources", |_, spec| spec.resources.pids = 501),
            ("resources", |_, spec| spec.resources.nofile = 65_537),
            ("resources", |_, spec| spec.resources.data_mb = 65),
            ("path", |_, spec| spec.package_dir = "/".into()),
            ("path", |_, spec| spec.package_dir = "/etc".into()),
            ("path", |_, spec| spec.package_dir = "modules/lamp".into()),
            ("path", |fixture, spec| spec.package_dir = fixture.path("")),
            ("path", |fixture, spec| spec.package_dir = fixture.path("modules")),
            ("path", |fixture, spec| spec.package_dir = fixture.path("modules/other")),
            ("path", |fixture, spec| spec.package_dir = fixture.path("modules/lamp/sub")),
            ("path", |fixture, spec| spec.package_dir = fixture.path("modules/../modules/lamp/../../../etc")),
            ("path", |fixture, spec| spec.package_dir = fixture.path("staging/u1/package")),
            ("path", |_, spec| spec.data_image = "/dev/sda".into()),
            ("path", |fixture, spec| spec.data_image = fixture.path("volumes/other.ext4")),
            ("path", |fixture, spec| spec.data_image = fixture.path("volumes/../volumes/lamp.ext4/../x")),
            ("path", |fixture, spec| spec.data_image = fixture.path("selena.db")),
            ("device", |_, spec| {
                spec.devices = vec![DeviceGrant { path: "/dev/mem".to_owned(), numbers: Vec::new() }];
            }),
            ("device", |_, spec| {
                spec.devices = vec![DeviceGrant { path: "/dev/snd/../sda".to_owned(), numbers: Vec::new() }];
            }),
            ("devices", |_, spec| {
                let grant = DeviceGrant { path: "/dev/i2c-1".to_owned(), numbers: Vec::new() };
                spec.devices = vec![grant; MAX_DEVICES + 1];
            }),
            ("container", |_, spec| spec.resources.pids = 0),
            ("container", |_, spec| spec.command = Command::Static("../../bin/sh".to_owned())),
        ];
        for (number, (code, spoil)) in spoilt.iter().enumerate() {
            let mut spec = fixture.spec();
            spoil(&fixture, &mut spec);
            assert_eq!(fixture.start(spec), Some(*code), "number {number}");
        }
        let of_trials: &[(&str, Spoil)] = &[
            ("path", |fixture, spec| spec.package_dir = fixture.path("modules/lamp")),
            ("path", |fixture, spec| spec.data_image = fixture.path("volumes/lamp.ext4")),
            ("path", |fixture, spec| spec.package_dir = fixture.path("staging/../modules/package")),
            ("container", |_, spec| spec.egress = true),
            ("container", |_, spec| {
                spec.devices = vec![DeviceGrant { path: "/dev/i2c-1".to_owned(), numbers: Vec::new() }];
            }),
        ];
        for (number, (code, spoil)) in of_trials.iter().enumerate() {
            let mut spec = fixture.trial();
            spoil(&fixture, &mut spec);
            assert_eq!(fixture.start(spec), Some(*code), "trial, number {number}");
        }
    }

    #[test]
    fn a_backup_reads_data_images_only_and_a_restore_makes_them_in_its_upload_only() {
        let fixture = fixture();
        let file = || tempfile::tempfile().unwrap();
        let check = |request: &Request| fixture.gate.check(request).map_err(|refusal| refusal.code);
        let read_out = |image: &str| check(&Request::ReadOut { image: fixture.path(image), into: file() });
        for image in ["volumes/lamp.ext4", "previous/lamp/data.ext4"] {
            assert_eq!(read_out(image), Ok(()), "{image}");
        }
        for image in ["/dev/sda", "selena.db", "volumes/../x.ext4", "volumes/LAMP.ext4", "staging/u/volumes/lamp.ext4"]
        {
            assert_eq!(read_out(image), Err("path"), "{image}");
        }
        let fill =
            |image: &str, mib, owner| check(&Request::Fill { image: fixture.path(image), mib, owner, from: file() });
        for image in ["staging/u/volumes/lamp.ext4", "staging/u/previous/lamp/data.ext4"] {
            assert_eq!(fill(image, 64, 400_001), Ok(()), "{image}");
            assert_eq!(fill(image, 65, 400_001), Err("data_mb"), "{image}");
            assert_eq!(fill(image, 64, 0), Err("uid"), "{image}");
        }
        for image in
            ["volumes/lamp.ext4", "previous/lamp/data.ext4", "/etc/x", "staging/u/x.ext4", "staging/volumes/x.ext4"]
        {
            assert_eq!(fill(image, 64, 400_001), Err("path"), "{image}");
        }
    }

    #[test]
    fn data_go_from_a_module_to_where_it_is_laid_aside_and_nowhere_else() {
        let fixture = fixture();
        let module = || ModuleName::new("lamp").unwrap();
        let copy = |from: &str, to: &str| {
            let request = Request::CopyData { module: module(), from: fixture.path(from), to: fixture.path(to) };
            fixture.gate.check(&request).map_err(|refusal| refusal.code)
        };
        assert_eq!(copy("volumes/lamp.ext4", "aside/lamp/data.ext4"), Ok(()));
        for (from, to) in [
            ("/etc/shadow", "aside/lamp/data.ext4"),
            ("selena.db", "aside/lamp/data.ext4"),
            ("volumes/other.ext4", "aside/lamp/data.ext4"),
            ("volumes/lamp.ext4", "/etc/cron.d/x"),
            ("volumes/lamp.ext4", "aside/other/data.ext4"),
            ("volumes/lamp.ext4", "aside/lamp/../../x"),
        ] {
            assert_eq!(copy(from, to), Err("path"), "{from} to {to}");
        }
        let release = |image: &str| {
            let request = Request::ReleaseData { module: module(), image: fixture.path(image) };
            fixture.gate.check(&request).map_err(|refusal| refusal.code)
        };
        assert_eq!((release("volumes/lamp.ext4"), release("previous/lamp/data.ext4")), (Ok(()), Ok(())));
        for image in ["/dev/sda", "volumes/other.ext4", "previous/other/data.ext4", "aside/lamp/data.ext4"] {
            assert_eq!(release(image), Err("path"), "{image}");
        }
        let stop = Request::Stop { run: RunId("a".repeat(64)), grace: Duration::from_secs(3600) };
        assert_eq!(fixture.gate.check(&stop).unwrap_err().code, "grace");
    }
}
