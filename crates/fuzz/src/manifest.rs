//! What must hold whatever text is read as a manifest (faults, series M).

use std::collections::BTreeSet;

use selena_types::{
    EgressRule, Manifest, ModuleType, OAuthProvider, ParsedManifest, Permission, Problems, ResourceLimits, Resources,
    Schedule,
};
use semver::Version;
use serde_json::Value;

const CORE: Version = Version::new(1, 4, 0);
const LIMITS: ResourceLimits = ResourceLimits { memory_mb: 512, cpu: 4.0, data_mb: 1024 };
const CODES: [&str; 8] = [
    "manifest_invalid",
    "manifest_id",
    "manifest_version",
    "manifest_permission",
    "manifest_incompatible",
    "manifest_range",
    "manifest_host",
    "manifest_device",
];
/// Most problems that are told, the one that says so included.
const MAX_PROBLEMS: usize = 201;
const RESERVED: [&str; 8] = ["core", "user", "ui", "agent", "cloud", "platform", "system", "dev-module"];

/// Reads a text as a manifest and checks what comes of it.
///
/// # Panics
/// If a rule is broken.
pub fn check(text: &[u8]) {
    let parsed = Manifest::parse(text, &CORE, &LIMITS);
    assert_eq!(parsed, Manifest::parse(text, &CORE, &LIMITS), "the same text was read in two ways");
    match parsed {
        Ok(ParsedManifest { manifest, warnings }) => {
            assert!(text.len() <= Manifest::MAX_BYTES, "{} bytes were read", text.len());
            assert!(warnings.len() <= MAX_PROBLEMS, "{} warnings", warnings.len());
            check_manifest(&manifest);
            check_against_text(&manifest, text);
        }
        Err(problems) => check_problems(&problems),
    }
}

fn check_problems(Problems(problems): &Problems) {
    assert!((1..=MAX_PROBLEMS).contains(&problems.len()), "{} problems", problems.len());
    for problem in problems {
        assert!(CODES.contains(&problem.code.as_str()), "unknown code: {problem:?}");
        assert!(!problem.msg.is_empty() && problem.msg.len() < 2000, "no message for people: {problem:?}");
    }
}

fn check_manifest(manifest: &Manifest) {
    assert!(is_name(manifest.name.as_str()), "name {:?}", manifest.name);
    let wanted = manifest.min_core_version.as_ref();
    assert!(wanted.is_none_or(|version| version.cmp_precedence(&CORE).is_le()), "a core that is too old");
    assert_eq!(manifest.port.is_none(), manifest.module_type == ModuleType::System, "a port, but for SYSTEM");
    assert!(manifest.port.is_none_or(|port| (8100..=8200).contains(&port.get())), "port {:?}", manifest.port);
    let unique: BTreeSet<_> = manifest.permissions.iter().collect();
    assert_eq!(unique.len(), manifest.permissions.len(), "a permission stands twice");
    for permission in &manifest.permissions {
        assert!(in_column(*permission, manifest.module_type), "{permission} is not for {:?}", manifest.module_type);
    }
    check_resources(&manifest.resources);
    if let Some(Schedule::EverySecs(secs)) = manifest.schedule {
        assert!((1..=366 * 24 * 3600).contains(&secs), "every {secs} s");
    }
    let pages = manifest.ui.iter().flat_map(|ui| [&ui.icon, &ui.settings]).flatten();
    pages.chain(&manifest.entry_point).for_each(|path| assert!(is_inside(path), "path {path:?}"));
    let has = |permission| manifest.permissions.contains(&permission);
    assert!(manifest.egress.is_empty() || has(Permission::NetworkEgress), "egress without the permission");
    assert!(manifest.oauth.is_empty() || has(Permission::SecretsOauth), "OAuth without the permission");
    manifest.egress.iter().for_each(check_egress);
    manifest.oauth.values().for_each(check_oauth);
    for device in &manifest.devices {
        assert!(device.starts_with("/dev/") && is_inside(&device[1..]), "device {device:?}");
    }
}

/// What was read is what stands in the text, as another parser sees it.
fn check_against_text(manifest: &Manifest, text: &[u8]) {
    let value: Value = serde_json::from_slice(text).expect("what was read as a manifest is JSON");
    assert_eq!(value["name"], manifest.name.as_str(), "name");
    assert_eq!(value["version"], manifest.version.to_string(), "version");
    assert_eq!(value["type"], manifest.module_type.as_str(), "type");
    assert_eq!(value["api_version"], "1.0", "API version");
    assert_eq!(value["port"].as_u64(), manifest.port.map(|port| u64::from(port.get())), "port");
    let asked = value["permissions"].as_array().expect("permissions are a list");
    let asked: BTreeSet<_> = asked.iter().filter_map(Value::as_str).collect();
    assert_eq!(asked, manifest.permissions.iter().map(|permission| permission.as_str()).collect(), "permissions");
    for (field, is) in [("memory_mb", manifest.resources.memory_mb), ("pids", manifest.resources.pids)] {
        let said = &value["resources"][field];
        assert!(said.is_null() || said.as_u64() == Some(u64::from(is)), "{field}: {said} was read as {is}");
    }
    for option in ["privileged", "cap_add", "volumes", "network_mode"] {
        assert!(value.get(option).is_none(), "{option} was let through");
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    (2..=64).contains(&name.len())
        && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !RESERVED.contains(&name)
        && !name.starts_with("selena-")
}

/// The table of section 3, column by column.
fn in_column(permission: Permission, module_type: ModuleType) -> bool {
    match permission.as_str() {
        "secrets.oauth" | "secrets.proxy" => module_type == ModuleType::Integration,
        "modules.read" | "modules.manage" | "system.read" | "integrity.read" => module_type == ModuleType::System,
        "device.write" => !matches!(module_type, ModuleType::Automation | ModuleType::Ui),
        _ => true,
    }
}

fn check_resources(resources: &Resources) {
    let good = (8..=LIMITS.memory_mb).contains(&resources.memory_mb)
        && (0.05..=LIMITS.cpu).contains(&resources.cpu)
        && (1..=500).contains(&resources.pids)
        && (16..=65_536).contains(&resources.nofile)
        && (1..=LIMITS.data_mb).contains(&resources.data_mb);
    assert!(good, "{resources:?}");
}

/// Whether a path stays inside the package.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 300
        && !path.contains(['\\', '\0'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn check_egress(rule: &EgressRule) {
    assert!(rule.port > 0, "{rule:?}");
    let (name, wild) = rule.host.strip_prefix("*.").map_or((rule.host.as_str(), false), |parent| (parent, true));
    let visible = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:".contains(c);
    let address = name.parse::<std::net::IpAddr>().ok();
    assert!(address.is_some() || name.chars().all(visible), "{rule:?}");
    assert!(name.contains('.') || address.is_some_and(|address| address.is_ipv6()), "{rule:?}");
    assert!(!(wild && address.is_some()), "a wildcard over an address: {rule:?}");
    assert!(!name.ends_with('.') && !name.ends_with(".local") && name != "localhost", "{rule:?}");
    if let Some(address) = address {
        assert!(!address.is_loopback() && !address.is_unspecified() && !address.is_multicast(), "{rule:?}");
    }
}

fn check_oauth(provider: &OAuthProvider) {
    let urls = [&provider.device_authorization_url, &provider.token_url];
    for url in urls.into_iter().chain(&provider.revocation_url) {
        let rest = url.strip_prefix("https://").unwrap_or_else(|| panic!("not https: {url:?}"));
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // An `@` names a user only before the path; behind it, it is an ordinary character (RFC 3986, section 3.3).
        assert!(!authority.contains('@') && authority.contains('.'), "{url:?}");
        assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#')), "{url:?}");
    }
    assert!((1..=8).contains(&provider.api_hosts.len()), "{:?}", provider.api_hosts);
    assert!(provider.api_hosts.iter().all(|host| host.contains('.') && !host.contains(['*', '/', '@'])));
}
