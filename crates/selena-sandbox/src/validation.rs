//! What a container may be made of, checked again here: behind this crate there is root.

use std::path::{Component, Path};

use selena_core::ports::{ContainerPurpose, ContainerSpec, SandboxError};

use crate::{config::SandboxConfig, failure};

const CHECKING: &str = "checking what the container is made of";
/// The engine refuses less.
const LEAST_MEMORY_MB: u32 = 6;

/// Refuses root, limits that mean "unlimited", and paths that lead elsewhere.
pub(crate) fn check(config: &SandboxConfig, spec: &ContainerSpec) -> Result<(), SandboxError> {
    let Some(problem) = problem(config, spec) else { return Ok(()) };
    Err(failure::refused(CHECKING, problem))
}

fn problem(config: &SandboxConfig, spec: &ContainerSpec) -> Option<String> {
    let limits = &spec.resources;
    if spec.uid == 0 {
        return Some("the user is root".to_owned());
    }
    if limits.memory_mb < LEAST_MEMORY_MB {
        return Some(format!("{} MiB of memory is less than {LEAST_MEMORY_MB}", limits.memory_mb));
    }
    if limits.pids == 0 || limits.nofile == 0 || limits.data_mb == 0 {
        return Some("a limit is zero, which is unlimited".to_owned());
    }
    if !(limits.cpu.is_finite() && limits.cpu >= 0.01) {
        return Some(format!("{} is no share of the processors", limits.cpu));
    }
    if let Some(grant) = spec.devices.iter().find(|grant| !selena_types::is_device_path(&grant.path)) {
        return Some(format!("`{}` is no device that a module may be given", grant.path));
    }
    if spec.purpose == ContainerPurpose::Trial && !spec.devices.is_empty() {
        return Some("a trial is given no devices".to_owned());
    }
    if !is_plain_relative(&spec.command.entry_point) {
        return Some(format!("the entry point `{}` is no path inside the package", spec.command.entry_point));
    }
    if !is_own_directory(&spec.package_dir) {
        return Some(format!("the package {} is no directory", spec.package_dir.display()));
    }
    if spec.package_dir.to_str().is_none() || config.init_binary.to_str().is_none() {
        return Some("a path is no text, which the engine needs".to_owned());
    }
    if !spec.data_image.is_absolute() {
        return Some(format!("the data image {} is no absolute path", spec.data_image.display()));
    }
    if !config.init_binary.is_absolute() || !config.init_binary.is_file() {
        return Some(format!("the init {} is no file", config.init_binary.display()));
    }
    None
}

fn is_plain_relative(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\0')
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

fn is_own_directory(path: &Path) -> bool {
    path.is_absolute() && path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

#[cfg(test)]
mod tests {
    use selena_core::ports::Command;
    use selena_types::{ModuleName, Resources, Runtime};

    use super::*;

    /// Makes one thing of a good container wrong.
    type Spoil<'a> = &'a dyn Fn(&mut ContainerSpec);

    fn good(package: &Path) -> ContainerSpec {
        ContainerSpec {
            purpose: ContainerPurpose::Module,
            module: ModuleName::new("lamp").unwrap(),
            version: "1.0.0".parse().unwrap(),
            port: None,
            uid: 20_001,
            command: Command { runtime: Runtime::Static, entry_point: "bin/lamp".to_owned() },
            package_dir: package.to_owned(),
            data_image: "/x/data.img".into(),
            resources: Resources { memory_mb: 64, cpu: 0.5, pids: 10, nofile: 64, data_mb: 8 },
            devices: Vec::new(),
        }
    }

    #[test]
    fn what_could_be_unlimited_or_root_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config = SandboxConfig::new("/bin/sh".into(), dir.path().into(), "h".into());
        assert!(check(&config, &good(dir.path())).is_ok());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        let spoil: &[(&str, Spoil<'_>)] = &[
            ("root", &|spec| spec.uid = 0),
            ("pids", &|spec| spec.resources.pids = 0),
            ("nofile", &|spec| spec.resources.nofile = 0),
            ("memory", &|spec| spec.resources.memory_mb = 0),
            ("cpu", &|spec| spec.resources.cpu = f64::NAN),
            ("no cpu", &|spec| spec.resources.cpu = 0.0),
            ("out of the package", &|spec| spec.command.entry_point = "../etc/passwd".to_owned()),
            ("absolute", &|spec| spec.command.entry_point = "/bin/sh".to_owned()),
            ("linked package", &|spec| spec.package_dir = link.clone()),
            ("relative package", &|spec| spec.package_dir = "x".into()),
        ];
        for (what, spoil) in spoil {
            let mut spec = good(dir.path());
            spoil(&mut spec);
            assert!(check(&config, &spec).is_err(), "{what}");
        }
    }
}
