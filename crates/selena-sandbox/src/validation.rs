//! What a container may be made of, checked again here: behind this crate there is root.

use std::{
    fs::File,
    path::{Component, Path},
};

use selena_core::ports::{Command, ContainerPurpose, ContainerSpec, ImageCommand, SandboxError};

use crate::{config::SandboxConfig, failure};

const CHECKING: &str = "checking what the container is made of";
/// The engine refuses less.
const LEAST_MEMORY_MB: u32 = 6;

/// Refuses root, limits that mean "unlimited", and paths that lead elsewhere.
pub(crate) fn check(config: &SandboxConfig, spec: &ContainerSpec) -> Result<(), SandboxError> {
    let Some(problem) = problem(config, spec) else { return Ok(()) };
    Err(failure::refused(CHECKING, problem))
}

/// What is wrong with it, if anything is.
pub(crate) fn problem(config: &SandboxConfig, spec: &ContainerSpec) -> Option<String> {
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
    if spec.purpose == ContainerPurpose::Trial && spec.egress {
        return Some("a trial is given no egress".to_owned());
    }
    if let Some(problem) = command_problem(&spec.command) {
        return Some(problem);
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

fn command_problem(command: &Command) -> Option<String> {
    let ImageCommand { program, root } = match command {
        Command::Static(path) | Command::Python3(path) => {
            return (!is_plain_relative(path))
                .then(|| format!("the entry point `{path}` is no path inside the package"));
        }
        Command::Image(image) => image,
    };
    if program.id.is_empty() || !program.id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-')) {
        return Some(format!("`{}` is no id of an image", program.id.escape_debug()));
    }
    let texts = || program.argv.iter().chain(&program.env).chain([&program.working_dir]);
    if program.argv.first().is_none_or(String::is_empty) || texts().any(|text| text.contains('\0')) {
        return Some("the image's command is none".to_owned());
    }
    if program.env.iter().any(|pair| !pair.contains('=') || pair.starts_with('=')) {
        return Some("a variable of the image is not KEY=VALUE".to_owned());
    }
    let is_dir = program.working_dir.strip_prefix('/').is_some_and(|rest| rest.is_empty() || is_plain_relative(rest));
    if !is_dir {
        return Some("the image's working directory is no absolute path".to_owned());
    }
    let is_file = |root: &File| root.metadata().is_ok_and(|metadata| metadata.is_file());
    root.as_deref().filter(|root| !is_file(root)).map(|_| "the image's files are no regular file".to_owned())
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
    use selena_core::ports::ImageProgram;
    use selena_types::{ModuleName, Resources};

    use super::*;

    /// Makes one thing of a good container wrong.
    type Spoil<'a> = &'a dyn Fn(&mut ContainerSpec);

    /// Makes one thing of a good image wrong.
    type SpoilImage<'a> = &'a dyn Fn(&mut ImageCommand);

    fn good(package: &Path) -> ContainerSpec {
        ContainerSpec {
            purpose: ContainerPurpose::Module,
            module: ModuleName::new("lamp").unwrap(),
            version: "1.0.0".parse().unwrap(),
            port: None,
            uid: 20_001,
            command: Command::Static("bin/lamp".to_owned()),
            package_dir: package.to_owned(),
            data_image: "/x/data.img".into(),
            resources: Resources { memory_mb: 64, cpu: 0.5, pids: 10, nofile: 64, data_mb: 8 },
            devices: Vec::new(),
            egress: false,
        }
    }

    #[test]
    fn what_could_be_unlimited_or_root_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config = SandboxConfig::new("/bin/sh".into(), "/".into(), dir.path().into(), "h".into());
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
            ("out of the package", &|spec| spec.command = Command::Python3("../etc/passwd".to_owned())),
            ("absolute", &|spec| spec.command = Command::Static("/bin/sh".to_owned())),
            ("linked package", &|spec| spec.package_dir = link.clone()),
            ("relative package", &|spec| spec.package_dir = "x".into()),
            ("egress in a trial", &|spec| (spec.purpose, spec.egress) = (ContainerPurpose::Trial, true)),
        ];
        for (what, spoil) in spoil {
            let mut spec = good(dir.path());
            spoil(&mut spec);
            assert!(check(&config, &spec).is_err(), "{what}");
        }
    }

    #[test]
    fn an_image_is_checked_again_here() {
        let dir = tempfile::tempdir().unwrap();
        let config = SandboxConfig::new("/bin/sh".into(), "/".into(), dir.path().into(), "h".into());
        std::fs::write(dir.path().join("root.tar"), "").unwrap();
        let with = |spoil: SpoilImage<'_>| {
            let program = ImageProgram {
                id: "1-00ff".to_owned(),
                argv: vec!["run".to_owned()],
                env: vec!["A=b".to_owned()],
                working_dir: "/srv/app".to_owned(),
            };
            let root = File::open(dir.path().join("root.tar")).unwrap();
            let mut image = ImageCommand { program, root: Some(root.into()) };
            spoil(&mut image);
            check(&config, &ContainerSpec { command: Command::Image(image), ..good(dir.path()) })
        };
        assert!(with(&|_| {}).is_ok() && with(&|image| image.root = None).is_ok());
        let spoil: &[(&str, SpoilImage<'_>)] = &[
            ("another label", &|image| image.program.id = "1 selena.hub=x".to_owned()),
            ("no program", &|image| image.program.argv.clear()),
            ("a NUL byte", &|image| image.program.argv.push("a\0b".to_owned())),
            ("no variable", &|image| image.program.env.push("A".to_owned())),
            ("relative", &|image| image.program.working_dir = "srv".to_owned()),
            ("out", &|image| image.program.working_dir = "/srv/../..".to_owned()),
            ("no file", &|image| image.root = Some(File::open(dir.path()).unwrap().into())),
        ];
        for (what, spoil) in spoil {
            assert!(with(spoil).is_err(), "{what}");
        }
    }
}
