//! From text to [`Manifest`]: the top-level fields, and what one of them demands of another.

use std::collections::BTreeMap;

use semver::{Op, Version, VersionReq};
use serde_json::{Map, Value};

use super::{
    Manifest, ManifestEvents, ParsedManifest, ResourceLimits, Schedule, Ui, WidgetSize, network, numbers, oauth,
    paths::package_path,
    reader::{Fields, INVALID, PERMISSION, RANGE, Report, Unknown, VERSION},
    resources, sandbox_keys,
};
use crate::{
    EventPattern, ModuleName, ModulePort, ModuleType, Permission, Problems, Runtime, RuntimeMode, Transport, UiProfile,
    json,
};

/// For another hub than this one.
const INCOMPATIBLE: &str = "manifest_incompatible";

/// Every field of section 3.
const FIELDS: [&str; 28] = [
    "name",
    "version",
    "type",
    "api_version",
    "min_core_version",
    "port",
    "permissions",
    "runtime_mode",
    "schedule",
    "runtime",
    "entry_point",
    "transport",
    "ui_profile",
    "ui",
    "resources",
    "events",
    "network",
    "devices",
    "oauth",
    "dependencies",
    "optional_dependencies",
    "config_schema",
    "provides",
    "requires",
    "description",
    "author",
    "license",
    "homepage",
];

/// Longest version in characters; it becomes part of an image's tag and of messages.
const MAX_VERSION_CHARS: usize = 64;

pub(super) fn manifest(text: &[u8], core: &Version, limits: &ResourceLimits) -> Result<ParsedManifest, Problems> {
    let (value, overflow) = read_json(text).map_err(|msg| Problems::one([], INVALID, msg))?;
    let mut report = Report::default();
    let manifest = Fields::at(&value, Vec::new(), &mut report).and_then(|fields| read(fields, core, limits));
    if overflow && !report.problems.0.iter().any(|problem| problem.code == RANGE) {
        report.problems.add([], RANGE, "a number is too large to be one");
    }
    let warnings = report.finish()?;
    match manifest {
        Some(manifest) => Ok(ParsedManifest { manifest, warnings }),
        None => Err(Problems::one([], INVALID, "the manifest lacks a required field")),
    }
}

/// The JSON, and whether it had a number that overflows.
fn read_json(text: &[u8]) -> Result<(Value, bool), String> {
    if text.len() > Manifest::MAX_BYTES {
        return Err(format!("manifest.json must be at most {} KiB", Manifest::MAX_BYTES / 1024));
    }
    if text.starts_with(&[0xef, 0xbb, 0xbf]) || std::str::from_utf8(text).is_err() || text.contains(&0) {
        return Err("manifest.json must be UTF-8 without byte order mark; save it anew so".to_owned());
    }
    let (text, overflow) = numbers::without_overflow(text);
    let value = json::parse_unambiguous(&text).map_err(|error| error.to_string())?;
    Ok((value, overflow))
}

fn read(mut fields: Fields<'_, '_>, core: &Version, limits: &ResourceLimits) -> Option<Manifest> {
    check_frame(&mut fields);
    let fields = &mut fields;
    let name = fields.parsed("name", "manifest_id", ModuleName::new);
    let version = fields.parsed("version", VERSION, version);
    let module_type = fields.word("type", ModuleType::ALL);
    let permissions = permissions(fields, module_type);
    let runtime_mode = fields.word("runtime_mode", RuntimeMode::ALL).unwrap_or(RuntimeMode::AlwaysOn);
    let runtime = fields.word("runtime", Runtime::ALL);
    let egress = network::read_egress(fields);
    let oauth = oauth::read(fields);
    check_grants(fields, module_type, &permissions, !egress.is_empty());
    Some(Manifest {
        min_core_version: min_core_version(fields, core),
        port: port(fields, module_type),
        schedule: schedule(fields, runtime_mode),
        entry_point: entry_point(fields, runtime),
        transport: fields.word("transport", Transport::ALL).unwrap_or(Transport::Http),
        ui_profile: fields.word("ui_profile", UiProfile::ALL).unwrap_or(UiProfile::Headless),
        ui: fields.object("ui").map(ui),
        resources: resources::read(fields, limits),
        events: fields.object("events").map(events).unwrap_or_default(),
        devices: network::read_devices(fields),
        dependencies: dependencies(fields, "dependencies", name.as_ref()),
        optional_dependencies: dependencies(fields, "optional_dependencies", name.as_ref()),
        config_schema: config_schema(fields),
        provides: fields.list("provides", INVALID).map(<[Value]>::to_vec).unwrap_or_default(),
        requires: fields.list("requires", INVALID).map(<[Value]>::to_vec).unwrap_or_default(),
        description: fields.text("description"),
        author: fields.text("author"),
        license: fields.text("license"),
        homepage: fields.text("homepage"),
        name: name?,
        version: version?,
        module_type: module_type?,
        permissions,
        runtime_mode,
        runtime,
        egress,
        oauth,
    })
}

/// What must be there, what is unknown, and the version of the protocol.
fn check_frame(fields: &mut Fields<'_, '_>) {
    fields.unknown(&FIELDS, Unknown::Warn);
    sandbox_keys::refuse(fields);
    for field in ["name", "version", "type", "api_version", "permissions"] {
        fields.required(field);
    }
    fields.parsed("api_version", INCOMPATIBLE, |text| match text {
        "1.0" => Ok(()),
        _ => Err("must be \"1.0\", the only version of the protocol this hub speaks"),
    });
}

fn version(text: &str) -> Result<Version, String> {
    if text.len() > MAX_VERSION_CHARS {
        return Err(format!("a version has at most {MAX_VERSION_CHARS} characters"));
    }
    Version::parse(text).map_err(|error| format!("must be a semantic version such as 1.2.3: {error}"))
}

fn min_core_version(fields: &mut Fields<'_, '_>, core: &Version) -> Option<Version> {
    let wanted = fields.parsed("min_core_version", VERSION, version)?;
    if wanted.cmp_precedence(core).is_gt() {
        fields.problem("min_core_version", INCOMPATIBLE, format!("this hub runs {core}; update the hub first"));
    }
    Some(wanted)
}

fn permissions(fields: &mut Fields<'_, '_>, module_type: Option<ModuleType>) -> Vec<Permission> {
    let read = |text: &str| -> Result<Permission, String> {
        let permission: Permission = text.parse().map_err(|error| format!("{error}"))?;
        match module_type {
            Some(module_type) if !permission.allowed_for(module_type) => {
                Err(format!("a module of type {module_type} cannot hold {permission}"))
            }
            _ => Ok(permission),
        }
    };
    let mut permissions = Vec::new();
    for permission in fields.parsed_list("permissions", PERMISSION, read).unwrap_or_default() {
        if !permissions.contains(&permission) {
            permissions.push(permission);
        }
    }
    permissions
}

/// Fields that are worth nothing without a permission, or are one type's only.
fn check_grants(
    fields: &mut Fields<'_, '_>,
    module_type: Option<ModuleType>,
    permissions: &[Permission],
    has_egress: bool,
) {
    if has_egress && !permissions.contains(&Permission::NetworkEgress) {
        fields.problem("network", PERMISSION, "network.egress needs the permission network.egress");
    }
    if fields.get("oauth").is_none() {
        return;
    }
    if module_type.is_some_and(|module_type| module_type != ModuleType::Integration) {
        fields.problem("oauth", PERMISSION, "only a module of type INTEGRATION has OAuth providers");
    } else if !permissions.contains(&Permission::SecretsOauth) {
        fields.problem("oauth", PERMISSION, "oauth needs the permission secrets.oauth");
    }
}

fn port(fields: &mut Fields<'_, '_>, module_type: Option<ModuleType>) -> Option<ModulePort> {
    let given = fields.get("port").is_some();
    match module_type {
        Some(ModuleType::System) if given => fields.problem("port", INVALID, "a module of type SYSTEM has no port"),
        Some(ModuleType::System) | None if !given => {}
        _ if !given => fields.problem("port", INVALID, "field required: a whole number from 8100 to 8200"),
        _ => {}
    }
    let port = fields.integer("port", 8100..=8200)?;
    u16::try_from(port).ok().and_then(|port| ModulePort::new(port).ok())
}

fn schedule(fields: &mut Fields<'_, '_>, mode: RuntimeMode) -> Option<Schedule> {
    let given = fields.get("schedule").is_some();
    match mode {
        RuntimeMode::Scheduled if !given => {
            fields.problem("schedule", INVALID, "field required for runtime_mode scheduled, such as every:15m");
        }
        RuntimeMode::AlwaysOn | RuntimeMode::OnDemand if given => {
            fields.warn("schedule", format!("it has no effect with runtime_mode {mode}"));
        }
        _ => {}
    }
    fields.parsed("schedule", INVALID, Schedule::new)
}

fn entry_point(fields: &mut Fields<'_, '_>, runtime: Option<Runtime>) -> Option<String> {
    if runtime == Some(Runtime::Oci) && fields.get("entry_point").is_some() {
        fields.problem("entry_point", INVALID, "not allowed for runtime oci: the image has its own");
    }
    fields.parsed("entry_point", INVALID, package_path)
}

fn ui(mut fields: Fields<'_, '_>) -> Ui {
    fields.unknown(&["icon", "settings", "widget"], Unknown::Warn);
    Ui {
        icon: fields.parsed("icon", INVALID, package_path),
        settings: fields.parsed("settings", INVALID, package_path),
        widget: fields.object("widget").and_then(widget),
    }
}

fn widget(mut fields: Fields<'_, '_>) -> Option<(String, WidgetSize)> {
    fields.unknown(&["file", "size"], Unknown::Warn);
    for field in ["file", "size"] {
        fields.required(field);
    }
    let file = fields.parsed("file", INVALID, package_path);
    let size = fields.word("size", WidgetSize::ALL);
    Some((file?, size?))
}

fn events(mut fields: Fields<'_, '_>) -> ManifestEvents {
    fields.unknown(&["subscribe", "publish"], Unknown::Warn);
    ManifestEvents {
        subscribe: fields.parsed_list("subscribe", INVALID, EventPattern::new),
        publish: fields.parsed_list("publish", INVALID, EventPattern::new),
    }
}

fn dependencies(
    fields: &mut Fields<'_, '_>,
    field: &str,
    own_name: Option<&ModuleName>,
) -> BTreeMap<ModuleName, VersionReq> {
    let mut dependencies = BTreeMap::new();
    let Some(mut entries) = fields.object(field) else {
        return dependencies;
    };
    for text in entries.names() {
        match ModuleName::new(text) {
            Err(error) => entries.problem(text, INVALID, error.to_string()),
            Ok(name) if own_name == Some(&name) => entries.problem(text, INVALID, "a module cannot depend on itself"),
            Ok(name) => {
                entries.required(text);
                dependencies.extend(entries.parsed(text, INVALID, constraint).map(|wanted| (name, wanted)));
            }
        }
    }
    dependencies
}

/// `>= <= = ^ ~` on semantic versions, several joined by commas; a bare version means `^`.
fn constraint(text: &str) -> Result<VersionReq, &'static str> {
    let must = "must be a version constraint such as >=1.2.0, <=2.0.0, =1.2.3, ^1.2.0 or ~1.2.0";
    let wanted = VersionReq::parse(text).map_err(|_| must)?;
    let allowed = |op: Op| matches!(op, Op::GreaterEq | Op::LessEq | Op::Exact | Op::Caret | Op::Tilde);
    let good = !wanted.comparators.is_empty() && wanted.comparators.iter().all(|comparator| allowed(comparator.op));
    if good { Ok(wanted) } else { Err(must) }
}

fn config_schema(fields: &mut Fields<'_, '_>) -> Option<Map<String, Value>> {
    let schema = fields.get("config_schema")?.as_object();
    if schema.is_none() {
        fields.problem("config_schema", INVALID, "must be a JSON object, a JSON Schema");
    }
    schema.cloned()
}
