//! What a sandbox has to be told.

use std::path::PathBuf;

use selena_core::ports::ContainerPurpose;
use selena_types::ModuleName;
use semver::Version;

/// Label of all that belongs to one hub.
pub(crate) const LABEL_HUB: &str = "selena.hub";
/// Label of an image with the id of the files in it.
pub(crate) const LABEL_IMAGE: &str = "selena.image";
/// Label with the module's name.
pub(crate) const LABEL_MODULE: &str = "selena.module";
/// Label with the module's version.
pub(crate) const LABEL_VERSION: &str = "selena.version";
/// Label with the module's port.
pub(crate) const LABEL_PORT: &str = "selena.port";
/// Label of a trial; its value is `1`.
pub(crate) const LABEL_TRIAL: &str = "selena.test";

/// What decides how a hub uses Docker.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Docker's Unix socket.
    pub docker_socket: PathBuf,
    /// The static init, on the host; mounted at `/selena/init`.
    pub init_binary: PathBuf,
    /// The image that Python modules start from.
    pub python_base_image: String,
    /// The hub's data directory: packages and data images lie beneath it and nowhere else.
    pub data_dir: PathBuf,
    /// A directory of this sandbox alone, for the user files that are mounted into containers.
    pub state_dir: PathBuf,
    /// Value of the label `selena.hub`. Only containers, volumes and images with it are ever listed or removed, so it
    /// has to stay the same for the life of the hub's data.
    pub hub_id: String,
    /// Put before container and image names, so that two hubs can share one Docker; empty on a real hub.
    pub name_prefix: String,
    /// Where the kernel says what a device is: `/sys`, but for tests that bring devices of their own.
    pub sysfs: PathBuf,
}

impl SandboxConfig {
    /// The usual settings of a hub that has Docker for itself.
    #[must_use]
    pub fn new(init_binary: PathBuf, data_dir: PathBuf, state_dir: PathBuf, hub_id: String) -> Self {
        Self {
            docker_socket: PathBuf::from("/var/run/docker.sock"),
            init_binary,
            data_dir,
            python_base_image: "selena-python-base:latest".to_owned(),
            state_dir,
            hub_id,
            name_prefix: String::new(),
            sysfs: PathBuf::from("/sys"),
        }
    }

    pub(crate) fn container_name(&self, purpose: ContainerPurpose, module: &ModuleName) -> String {
        let kind = match purpose {
            ContainerPurpose::Module => "module",
            ContainerPurpose::Trial => "test",
        };
        format!("{}selena-{kind}-{}", self.name_prefix, module.as_str())
    }

    /// The image repository of a module.
    pub(crate) fn repository(&self, module: &ModuleName) -> String {
        format!("{}selena-module-{}", self.name_prefix, module.as_str())
    }

    pub(crate) fn image(&self, module: &ModuleName, version: &Version) -> String {
        format!("{}:{}", self.repository(module), image_tag(version))
    }

    /// The module that an image is of, by its reference.
    pub(crate) fn image_owner(&self, reference: &str) -> Option<ModuleName> {
        let name = reference.strip_prefix(&self.name_prefix)?.strip_prefix("selena-module-")?;
        ModuleName::new(name.split(':').next()?).ok()
    }

    pub(crate) fn hub_label(&self) -> String {
        format!("{LABEL_HUB}={}", self.hub_id)
    }
}

/// A version as an image tag, which may not hold the `+` of build metadata.
pub(crate) fn image_tag(version: &Version) -> String {
    version.to_string().replace('+', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_protocol() {
        let config = SandboxConfig::new("/init".into(), "/data".into(), "/state".into(), "h".into());
        let lamp = ModuleName::new("lamp").unwrap();
        assert_eq!(config.container_name(ContainerPurpose::Module, &lamp), "selena-module-lamp");
        assert_eq!(config.container_name(ContainerPurpose::Trial, &lamp), "selena-test-lamp");
        assert_eq!(config.image(&lamp, &"1.2.0-rc.1+b5".parse().unwrap()), "selena-module-lamp:1.2.0-rc.1_b5");
        assert_eq!(config.image_owner("selena-module-lamp:1.2.0"), Some(lamp));
        assert_eq!(config.image_owner("selena-python-base:latest"), None);
    }
}
