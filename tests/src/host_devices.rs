//! Modules with devices of the machine.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    Engine, Hub, Module, Options, Package,
    machine::{Link, Sysfs},
    wait,
};

/// Where udev links serial ports by what they are.
pub const BY_ID: &str = "serial/by-id";
/// Where udev links serial ports by the socket they are in.
pub const BY_PATH: &str = "serial/by-path";

/// A hub to which sticks are serial ports.
#[must_use]
#[track_caller]
pub fn hub(sysfs: &Sysfs) -> Hub {
    Hub::with(Options { sysfs: Some(sysfs.path().to_owned()), ..Options::default() })
}

/// A package with the probe that names devices.
#[must_use]
pub fn driver(name: &str, port: u16, devices: &[&Link]) -> Package {
    let paths: Vec<_> = devices.iter().map(|link| link.path()).collect();
    Package::probe(name, port).with("devices", json!(paths))
}

/// Grants what a module waits for.
#[track_caller]
pub fn consent(hub: &Hub, name: &str) {
    let path = format!("/modules/{name}/consent");
    let shown = hub.admin().get(&path).expect(200).json();
    let grant = json!({ "version": shown["version"], "adds": shown["adds"] });
    let _granted = hub.admin().post(&path, &grant).expect(200);
}

/// Installs a package, and grants what it asks for.
#[must_use]
#[track_caller]
pub fn install(hub: &Hub, package: &Package, name: &str) -> Module {
    let _waits = hub.try_install(package).expect(202);
    consent(hub, name);
    hub.module(name)
}

/// State and detail of a module's only device.
#[must_use]
#[track_caller]
pub fn device(hub: &Hub, name: &str) -> (String, String) {
    let device = &hub.details(name)["devices"][0];
    let text = |key: &str| device[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("detail"))
}

/// A device as the hub lists it.
#[must_use]
#[track_caller]
pub fn listed(hub: &Hub, link: &Link) -> Option<Value> {
    let seen = hub.admin().get("/system/devices").expect(200).json();
    seen["devices"].as_array()?.iter().find(|device| device["path"] == link.path()).cloned()
}

/// The next run of a module after `before`.
///
/// # Panics
/// If there is none within 30 s.
#[must_use]
#[track_caller]
pub fn next_run(hub: &Hub, name: &str, before: &Module) -> Module {
    wait::for_some("the module runs anew", 30, || {
        let run = hub.try_module(name).filter(|run| run.container != before.container)?;
        (hub.status(name) == "RUNNING").then_some(run)
    })
}

/// The number of the device that a module opens, or why it does not.
#[must_use]
#[track_caller]
pub fn number(module: &Module, link: &Link) -> Value {
    let seen = module.act(&json!({ "act": "device_number", "path": link.path() }));
    if seen["done"].is_null() { seen["error"].clone() } else { seen["done"].clone() }
}

/// Whether a process may read a device in the cgroup of a module's container, whatever its user may.
///
/// # Panics
/// If the module does not run.
#[must_use]
#[track_caller]
pub fn cgroup_lets_in(module: &Module, node: &Path) -> bool {
    let pid = Engine::default().inspect(&module.container)["State"]["Pid"].as_i64().expect("it runs");
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    let of_devices = |line: &str| {
        let (hierarchy, path) = line.split_once(':')?.1.split_once(':')?;
        let root = match hierarchy {
            "" => "/sys/fs/cgroup",
            "devices" => "/sys/fs/cgroup/devices",
            _ => return None,
        };
        Some(format!("{root}{path}/cgroup.procs")).filter(|procs| Path::new(procs).exists())
    };
    let procs = groups.lines().find_map(of_devices).expect("the container has a cgroup");
    // Enters the group, and only then reads.
    let script = "echo $$ > \"$1\" || exit 3; exec head -c 1 \"$2\"";
    let ended = Command::new("sh").args(["-c", script, "sh", &procs]).arg(node).output().expect("there is a shell");
    assert_ne!(ended.status.code(), Some(3), "the group cannot be entered: {ended:?}");
    ended.status.success()
}
