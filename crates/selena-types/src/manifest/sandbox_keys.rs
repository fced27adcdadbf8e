//! Fields that would loosen a container elsewhere. The hub has no such fields, and says so instead of ignoring them
//! (faults M10).

use serde_json::Value;

use super::{
    paths::package_path,
    reader::{Fields, INVALID},
};

/// Names of container options, as Docker and Compose write them, with `_` for `-`.
const OPTIONS: [&str; 14] = [
    "binds",
    "cap_add",
    "cgroup_parent",
    "device_cgroup_rules",
    "host_config",
    "ipc_mode",
    "mounts",
    "network_mode",
    "pid_mode",
    "privileged",
    "security_opt",
    "userns_mode",
    "volumes",
    "volumes_from",
];

/// Whether an unknown field asks for power over the container; adds the problem.
pub(super) fn refuse(manifest: &mut Fields<'_, '_>) {
    for field in manifest.names() {
        let name = field.trim_start_matches('-').replace('-', "_").to_ascii_lowercase();
        let value = manifest.get(field).unwrap_or(&Value::Null);
        let problem = match name.as_str() {
            _ if field.starts_with('-') => Some("container options are not a module's to set"),
            option if OPTIONS.contains(&option) => Some("container options are not a module's to set"),
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
