//! Fields that would loosen a container elsewhere. The hub has no such fields, and says so instead of ignoring them
//! (faults M10).

use serde_json::Value;

use super::{
    paths::package_path,
    reader::{Fields, INVALID},
};

/// Names of container options, as Compose writes them; Docker writes `cap-add`, and its API `CapAdd`.
const OPTIONS: [&str; 20] = [
    "binds",
    "cap_add",
    "cgroup_parent",
    "cgroupns_mode",
    "device_cgroup_rules",
    "group_add",
    "host_config",
    "ipc_mode",
    "mounts",
    "network_mode",
    "oom_kill_disable",
    "oom_score_adj",
    "pid_mode",
    "privileged",
    "security_opt",
    "sysctls",
    "userns_mode",
    "uts_mode",
    "volumes",
    "volumes_from",
];

/// Whether an unknown field asks for power over the container; adds the problem.
pub(super) fn refuse(manifest: &mut Fields<'_, '_>) {
    for field in manifest.names() {
        let name = field.replace(['-', '_'], "").to_ascii_lowercase();
        let value = manifest.get(field).unwrap_or(&Value::Null);
        let problem = match name.as_str() {
            _ if field.starts_with('-') => Some("container options are not a module's to set"),
            plain if OPTIONS.iter().any(|option| option.replace('_', "") == plain) => {
                Some("container options are not a module's to set")
            }
            "cgroup" | "ipc" | "pid" | "userns" | "uts" if is_shared(value) => {
                Some("namespaces of the host or of another container are not a module's to share")
            }
            "entrypoint" if field != "entry_point" && names_outside(value) => {
                Some("what is started is `entry_point`, a file of the package, or the image's own")
            }
            "env" | "environment" if names_loader(value) => Some("LD_* variables are not a module's to set"),
            "image" if value.as_str().is_some_and(|image| package_path(image).is_err()) => {
                Some("an image comes as image.tar of the package, with \"runtime\": \"oci\"")
            }
            _ => None,
        };
        if let Some(msg) = problem {
            manifest.problem(field, INVALID, msg);
        }
    }
}

/// Whether a namespace is to be the host's or another container's.
fn is_shared(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text == "host" || text.starts_with("container:"))
}

/// Whether a program to start has an absolute path that is not the package's.
fn names_outside(value: &Value) -> bool {
    let outside = |text: &str| text.starts_with('/') && package_path(text.trim_start_matches("/app/")).is_err();
    match value {
        Value::String(text) => outside(text),
        Value::Array(items) => items.first().and_then(Value::as_str).is_some_and(outside),
        _ => false,
    }
}

/// Whether some key or text in the value begins with `LD_`, which would steer the dynamic loader.
fn names_loader(value: &Value) -> bool {
    let steers = |text: &str| text.trim_start().starts_with("LD_");
    match value {
        Value::String(text) => steers(text),
        Value::Array(items) => items.iter().any(names_loader),
        Value::Object(map) => map.iter().any(|(key, value)| steers(key) || names_loader(value)),
        _ => false,
    }
}
