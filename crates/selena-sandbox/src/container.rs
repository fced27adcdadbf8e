//! The container's configuration, from what the core asks for (protocol, section 4). No part of it is secret.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use bollard::models::{
    ContainerCreateBody, DeviceMapping, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use selena_core::ports::{Command, ContainerPurpose, ContainerSpec};

use crate::{
    config::{LABEL_HUB, LABEL_MODULE, LABEL_PORT, LABEL_TRIAL, LABEL_VERSION, SandboxConfig},
    host_devices::Node,
    seccomp,
};

const MIB: i64 = 1024 * 1024;
const CPU_PERIOD_USECS: u32 = 100_000;
/// The kernel kills a module before the hub (fault R18).
const OOM_SCORE_ADJUST: i64 = 500;
/// What the container's first process has besides what it fetches.
const ENVIRONMENT: [&str; 5] = [
    "PATH=/usr/local/bin:/usr/bin:/bin",
    "HOME=/data",
    "LANG=C.UTF-8",
    "PYTHONUNBUFFERED=1",
    "PYTHONDONTWRITEBYTECODE=1",
];
/// What an image's program has where the image says nothing; Docker's own default is the same `PATH`.
const IMAGE_ENVIRONMENT: [&str; 2] =
    ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/data"];
/// Inodes are memory too, so they have a limit beside the 32 MiB.
const TMP_OPTIONS: &str = "rw,noexec,nosuid,nodev,size=32m,nr_inodes=8192,mode=1777";
const DATA_OPTIONS: &str = "nosuid,nodev,noexec";

/// Files and devices of the host that a container is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostParts<'a> {
    /// Reference of the image.
    pub(crate) image: &'a str,
    /// The loop device with the data volume.
    pub(crate) data_device: &'a Path,
    /// The user file, for images that are shared between modules.
    pub(crate) passwd: Option<&'a Path>,
    /// The devices the module was granted.
    pub(crate) nodes: &'a [Node],
}

/// The whole configuration.
pub(crate) fn configuration(config: &SandboxConfig, spec: &ContainerSpec, parts: HostParts<'_>) -> ContainerCreateBody {
    ContainerCreateBody {
        hostname: Some(spec.module.as_str().to_owned()),
        user: Some(format!("{0}:{0}", spec.uid)),
        env: Some(environment(&spec.command)),
        cmd: Some(Vec::new()),
        entrypoint: Some(entry_point(spec)),
        image: Some(parts.image.to_owned()),
        working_dir: Some(working_dir(&spec.command)),
        labels: Some(labels(config, spec)),
        stop_signal: Some("SIGTERM".to_owned()),
        host_config: Some(host_config(config, spec, parts)),
        ..ContainerCreateBody::default()
    }
}

fn entry_point(spec: &ContainerSpec) -> Vec<String> {
    let file = |path: &String| format!("{}/{path}", spec.command.install_path());
    let module = match &spec.command {
        Command::Static(path) => vec![file(path)],
        Command::Python3(path) => vec!["/usr/bin/python3".to_owned(), "/selena/python-run".to_owned(), file(path)],
        Command::Image(image) => image.program.argv.clone(),
    };
    ["/selena/init", "--"].map(str::to_owned).into_iter().chain(module).collect()
}

/// The environment of the first process. An image's own words win, but for the home: its user is not the module's.
fn environment(command: &Command) -> Vec<String> {
    let Command::Image(image) = command else { return ENVIRONMENT.map(str::to_owned).into() };
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let is_hubs = |pair: &&String| name(pair) == "HOME";
    let of_image: Vec<String> = image.program.env.iter().filter(|pair| !is_hubs(pair)).cloned().collect();
    let is_given = |pair: &str| of_image.iter().any(|given| name(given) == name(pair));
    let of_hub = IMAGE_ENVIRONMENT.iter().filter(|pair| !is_given(pair)).map(|&pair| pair.to_owned());
    of_hub.chain(of_image.iter().cloned()).collect()
}

fn working_dir(command: &Command) -> String {
    match command {
        Command::Image(image) => image.program.working_dir.clone(),
        Command::Static(_) | Command::Python3(_) => command.install_path().to_owned(),
    }
}

fn labels(config: &SandboxConfig, spec: &ContainerSpec) -> HashMap<String, String> {
    let mut labels = HashMap::from([
        (LABEL_HUB, config.hub_id.clone()),
        (LABEL_MODULE, spec.module.as_str().to_owned()),
        (LABEL_VERSION, spec.version.to_string()),
    ]);
    if let Some(port) = spec.port {
        labels.insert(LABEL_PORT, port.get().to_string());
    }
    if spec.purpose == ContainerPurpose::Trial {
        labels.insert(LABEL_TRIAL, "1".to_owned());
    }
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn host_config(config: &SandboxConfig, spec: &ContainerSpec, parts: HostParts<'_>) -> HostConfig {
    let limits = &spec.resources;
    let memory = i64::from(limits.memory_mb) * MIB;
    HostConfig {
        memory: Some(memory),
        memory_swap: Some(memory),
        cpu_period: Some(i64::from(CPU_PERIOD_USECS)),
        cpu_quota: Some(cpu_quota_usecs(limits.cpu)),
        pids_limit: Some(i64::from(limits.pids)),
        ulimits: Some(vec![ulimit("nofile", i64::from(limits.nofile)), ulimit("core", 0)]),
        oom_score_adj: Some(OOM_SCORE_ADJUST),
        network_mode: Some("none".to_owned()),
        ipc_mode: Some("none".to_owned()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned(), format!("seccomp={}", seccomp::profile(spec.purpose))]),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), TMP_OPTIONS.to_owned())])),
        mounts: Some(mounts(config, spec, parts)),
        devices: Some(parts.nodes.iter().map(device).collect()),
        group_add: Some(groups(parts.nodes)),
        log_config: Some(log_config()),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        ..HostConfig::default()
    }
}

/// To be read and written, never to be made: no `m`.
fn device(node: &Node) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(node.on_host.to_string_lossy().into_owned()),
        path_in_container: Some(node.in_container.clone()),
        cgroup_permissions: Some("rw".to_owned()),
    }
}

/// The groups that may use the devices, by number: names mean something else inside.
fn groups(nodes: &[Node]) -> Vec<String> {
    let groups: BTreeSet<_> = nodes.iter().filter_map(|node| node.group).collect();
    groups.into_iter().map(|group| group.to_string()).collect()
}

/// Microseconds of each period; the kernel takes no less than 1,000.
#[expect(clippy::cast_possible_truncation, reason = "clamped to what fits before the cast")]
fn cpu_quota_usecs(cpus: f64) -> i64 {
    (cpus * f64::from(CPU_PERIOD_USECS)).clamp(1_000.0, f64::from(u32::MAX)) as i64
}

fn ulimit(name: &str, limit: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(limit), hard: Some(limit) }
}

/// At most 2 MiB of output are kept (fault R09).
fn log_config() -> HostConfigLogConfig {
    let options = [("max-size", "1m"), ("max-file", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(options.into()) }
}

fn mounts(config: &SandboxConfig, spec: &ContainerSpec, parts: HostParts<'_>) -> Vec<Mount> {
    let mut mounts = vec![
        data_volume(config, spec, parts.data_device),
        read_only_bind(&spec.package_dir, spec.command.install_path()),
        read_only_bind(&config.init_binary, "/selena/init"),
    ];
    mounts.extend(parts.passwd.map(|passwd| read_only_bind(passwd, "/etc/passwd")));
    mounts
}

fn read_only_bind(source: &Path, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        read_only: Some(true),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

/// A volume without a name, which the engine removes together with the container. The data are in the image behind it.
fn data_volume(config: &SandboxConfig, spec: &ContainerSpec, device: &Path) -> Mount {
    let device = device.to_string_lossy().into_owned();
    let options = [("type", "ext4".to_owned()), ("device", device), ("o", DATA_OPTIONS.to_owned())];
    let labels = [(LABEL_HUB, config.hub_id.clone()), (LABEL_MODULE, spec.module.as_str().to_owned())];
    let owned = |(name, value): (&str, String)| (name.to_owned(), value);
    Mount {
        typ: Some(MountType::VOLUME),
        target: Some("/data".to_owned()),
        volume_options: Some(MountVolumeOptions {
            // Else the engine would fill it from the image, and change the owner of its top directory.
            no_copy: Some(true),
            labels: Some(labels.map(owned).into()),
            driver_config: Some(MountVolumeOptionsDriverConfig {
                name: Some("local".to_owned()),
                options: Some(options.map(owned).into()),
            }),
            subpath: None,
        }),
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use selena_core::ports::{Command, ImageCommand, ImageProgram};

    use super::{cpu_quota_usecs, environment};

    #[test]
    fn a_share_of_the_processors_is_a_quota() {
        for (cpus, usecs) in [(0.5, 50_000), (2.0, 200_000), (0.001, 1_000)] {
            assert_eq!(cpu_quota_usecs(cpus), usecs);
        }
    }

    #[test]
    fn an_images_words_win_but_for_the_home() {
        let of = |env: &[&str]| {
            let env = env.iter().map(|&pair| pair.to_owned()).collect();
            let program =
                ImageProgram { id: "1-a".to_owned(), argv: vec!["x".to_owned()], env, working_dir: "/".to_owned() };
            environment(&Command::Image(ImageCommand { program, root: None }))
        };
        assert_eq!(of(&["PATH=/own", "HOME=/root", "A=b=c"]), ["HOME=/data", "PATH=/own", "A=b=c"]);
        assert_eq!(of(&[]).len(), 2);
    }
}
