//! Series M of the faults, as data: a good manifest, one thing changed, and the code and place expected.

use semver::Version;
use serde_json::{Value, json};

use super::{Manifest, ParsedManifest, ResourceLimits, Resources, Schedule, WidgetSize};
use crate::{ModuleType, Permission, Problems, Runtime, RuntimeMode, Transport, UiProfile};

mod examples;
mod grants;
mod rules;
mod text;

use examples::{full, minimal};

const LIMITS: ResourceLimits = ResourceLimits { memory_mb: 512, cpu: 4.0, data_mb: 1024 };

fn parse_text(text: impl AsRef<[u8]>) -> Result<ParsedManifest, Problems> {
    Manifest::parse(text.as_ref(), &Version::new(1, 4, 0), &LIMITS)
}

fn parse(manifest: &Value) -> Result<ParsedManifest, Problems> {
    parse_text(manifest.to_string())
}

/// The manifest with the value at a place such as `/resources/pids`; missing objects on the way are made.
fn with(mut manifest: Value, place: &str, value: Value) -> Value {
    let mut at = &mut manifest;
    for step in place.split('/').skip(1) {
        at = match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        };
    }
    *at = value;
    manifest
}

fn without(mut manifest: Value, field: &str) -> Value {
    manifest.as_object_mut().unwrap().remove(field).unwrap();
    manifest
}

/// Each problem as `code place`, such as `manifest_range /resources/pids`.
fn problems(result: Result<ParsedManifest, Problems>) -> Vec<String> {
    let place = |problem: &crate::Problem| {
        let steps = problem.loc.iter().map(|step| match step {
            crate::Loc::Index(index) => format!("/{index}"),
            crate::Loc::Field(field) => format!("/{field}"),
        });
        format!("{} {}", problem.code, steps.collect::<String>())
    };
    result.map_or_else(|problems| problems.0.iter().map(place).collect(), |_| Vec::new())
}

/// Checks that the value at the place is the one problem of an otherwise good manifest.
#[track_caller]
fn refused(manifest: Value, place: &str, value: Value, expected: &str) {
    let found = problems(parse(&with(manifest, place, value.clone())));
    assert_eq!(found, [expected], "{place} = {value}");
}

#[test]
fn a_minimal_manifest_gets_the_defaults() {
    let ParsedManifest { manifest, warnings } = parse(&minimal()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(manifest.resources, Resources { memory_mb: 128, cpu: 0.5, pids: 100, nofile: 1024, data_mb: 64 });
    assert_eq!((manifest.runtime_mode, manifest.transport), (RuntimeMode::AlwaysOn, Transport::Http));
    assert_eq!((manifest.ui_profile, manifest.ui, manifest.runtime), (UiProfile::Headless, None, None));
    assert_eq!((manifest.events.subscribe, manifest.egress.len(), manifest.schedule), (None, 0, None));
}

#[test]
fn defaults_stay_below_a_small_hubs_limits() {
    let limits = ResourceLimits { memory_mb: 64, cpu: 0.25, data_mb: 16 };
    let parsed = Manifest::parse(minimal().to_string().as_bytes(), &Version::new(1, 0, 0), &limits).unwrap();
    let resources = parsed.manifest.resources;
    assert_eq!((resources.memory_mb, resources.cpu, resources.data_mb), (64, 0.25, 16));
}

#[test]
fn a_system_module_has_no_port() {
    let system = with(without(minimal(), "port"), "/type", json!("SYSTEM"));
    let manifest = parse(&with(system, "/permissions", json!(["modules.manage"]))).unwrap().manifest;
    assert_eq!((manifest.module_type, manifest.port), (ModuleType::System, None));
}

#[test]
fn a_full_manifest_is_read_whole() {
    let ParsedManifest { manifest, warnings } = parse(&full()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(manifest.permissions, [Permission::DeviceRead, Permission::SecretsOauth, Permission::NetworkEgress]);
    assert_eq!(manifest.schedule, Some(Schedule::EverySecs(900)));
    assert_eq!((manifest.runtime, manifest.entry_point.as_deref()), (Some(Runtime::Python3), Some("src/run.py")));
    assert_eq!(manifest.ui.unwrap().widget, Some(("ui/widget.html".to_owned(), WidgetSize::Size2x1)));
    assert_eq!(manifest.resources, Resources { memory_mb: 256, cpu: 1.0, pids: 50, nofile: 512, data_mb: 10 });
    assert_eq!((manifest.egress.len(), manifest.egress[2].lan), (3, true));
    let hosts = &manifest.oauth["example"].api_hosts;
    assert_eq!(hosts, &["api.example.com", "api2.example.com:8443", "api3.example.com"]);
    assert_eq!((manifest.dependencies.len(), manifest.optional_dependencies.len()), (1, 2));
    assert_eq!((manifest.provides.len(), manifest.requires.len(), manifest.devices.len()), (1, 1, 2));
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let bad = json!({
        "name": "core", "version": "1.0", "type": "UI", "api_version": "2.0", "min_core_version": "9.0.0", "port": 80,
        "permissions": ["device.read", "*", "device.write"], "runtime_mode": "scheduled", "entry_point": "../x",
        "ui": {"widget": {"file": "/etc/passwd", "size": "9x9"}},
        "resources": {"memory_mb": 0, "swap": 1}, "events": {"publish": [7, "a*"]},
        "network": {"egress": [{"host": "localhost", "port": 0, "protocol": "udp"}]}, "devices": ["/dev/mem"],
        "oauth": {"example": {"token_url": "http://example.com"}}, "dependencies": {"clock": "soon"},
        "config_schema": [], "description": 1,
    });
    let mut found = problems(parse(&bad));
    found.sort();
    let mut expected = vec![
        "manifest_id /name",
        "manifest_version /version",
        "manifest_incompatible /api_version",
        "manifest_incompatible /min_core_version",
        "manifest_range /port",
        "manifest_permission /permissions/1",
        "manifest_permission /permissions/2",
        "manifest_invalid /schedule",
        "manifest_invalid /entry_point",
        "manifest_invalid /ui/widget/file",
        "manifest_invalid /ui/widget/size",
        "manifest_range /resources/memory_mb",
        "manifest_invalid /resources/swap",
        "manifest_invalid /events/publish/0",
        "manifest_invalid /events/publish/1",
        "manifest_host /network/egress/0/host",
        "manifest_range /network/egress/0/port",
        "manifest_invalid /network/egress/0/protocol",
        "manifest_device /devices/0",
        "manifest_invalid /oauth/example/device_authorization_url",
        "manifest_invalid /oauth/example/client_id",
        "manifest_invalid /oauth/example/scopes",
        "manifest_invalid /oauth/example/api_hosts",
        "manifest_invalid /oauth/example/token_url",
        "manifest_permission /oauth",
        "manifest_invalid /dependencies/clock",
        "manifest_invalid /config_schema",
        "manifest_invalid /description",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_flood_of_problems_is_cut() {
    let found = problems(parse(&with(minimal(), "/permissions", json!(vec![1; 10_000]))));
    assert_eq!((found.len(), found.last().map(String::as_str)), (201, Some("manifest_invalid ")));
}

#[test]
fn l03_the_secret_of_a_client_is_not_shown() {
    let manifest = with(full(), "/oauth/example/client_secret", json!("canary"));
    let parsed = parse(&manifest).expect("a good manifest");
    assert_eq!(parsed.manifest.oauth["example"].client_secret.as_deref(), Some("canary"));
    assert!(!format!("{parsed:?}").contains("canary"));
}
