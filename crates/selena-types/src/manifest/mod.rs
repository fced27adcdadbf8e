//! `manifest.json` of a package (protocol, section 3).

use std::{collections::BTreeMap, fmt};

use semver::{Version, VersionReq};
use serde_json::{Map, Value};

use crate::{
    EventPattern, ModuleName, ModulePort, ModuleType, Permission, Problem, Problems, Runtime, RuntimeMode, Transport,
    UiProfile,
};

mod hosts;
mod network;
mod numbers;
mod oauth;
mod parse;
mod paths;
mod reader;
mod resources;
mod sandbox_keys;
mod schedule;
#[cfg(test)]
mod tests;

pub use network::is_device_path;

/// A manifest that was checked: what stands in it holds every rule of section 3.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Name of the module.
    pub name: ModuleName,
    /// Its version.
    pub version: Version,
    /// What it is for.
    pub module_type: ModuleType,
    /// Oldest core it works with.
    pub min_core_version: Option<Version>,
    /// Its port; `None` only for `SYSTEM`.
    pub port: Option<ModulePort>,
    /// What it asks for, without repetition.
    pub permissions: Vec<Permission>,
    /// When it runs.
    pub runtime_mode: RuntimeMode,
    /// By what it runs if `scheduled`.
    pub schedule: Option<Schedule>,
    /// `None`: `python3` if the package has `main.py`, else `static`; see [`Manifest::runtime_with`].
    pub runtime: Option<Runtime>,
    /// A file of the package, relative, or `None` for the runtime's default; see [`Manifest::entry_point_with`].
    pub entry_point: Option<String>,
    /// Which wire it speaks.
    pub transport: Transport,
    /// Which pages it has.
    pub ui_profile: UiProfile,
    /// Its pages.
    pub ui: Option<Ui>,
    /// What it may use.
    pub resources: Resources,
    /// Which events it may subscribe to and publish.
    pub events: ManifestEvents,
    /// Where it may connect to.
    pub egress: Vec<EgressRule>,
    /// Device files it asks for.
    pub devices: Vec<String>,
    /// OAuth providers by name.
    pub oauth: BTreeMap<String, OAuthProvider>,
    /// Modules it needs.
    pub dependencies: BTreeMap<ModuleName, VersionReq>,
    /// Modules it can use.
    pub optional_dependencies: BTreeMap<ModuleName, VersionReq>,
    /// JSON Schema of its settings.
    pub config_schema: Option<Map<String, Value>>,
    /// Capabilities it provides (section 10.5).
    pub provides: Vec<Value>,
    /// Capabilities it requires (section 10.5).
    pub requires: Vec<Value>,
    /// What it does, for people.
    pub description: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Under which licence.
    pub license: Option<String>,
    /// Where to read more.
    pub homepage: Option<String>,
}

/// What a module may use at most (protocol, sections 3 and 4).
#[derive(Clone, Debug, PartialEq)]
pub struct Resources {
    /// Memory in MiB, without swap.
    pub memory_mb: u32,
    /// Share of the processors, 1.0 is one core.
    pub cpu: f64,
    /// Processes and threads.
    pub pids: u32,
    /// Open files of a process.
    pub nofile: u32,
    /// Size of the data volume in MiB.
    pub data_mb: u32,
}

/// What the hub gives one module at most; a manifest that asks for more is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResourceLimits {
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Processor cores.
    pub cpu: f64,
    /// Size of the data volume in MiB.
    pub data_mb: u32,
}

/// Which events a module may subscribe to and publish; `None` is any (protocol, section 3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManifestEvents {
    /// Patterns a subscription has to lie within.
    pub subscribe: Option<Vec<EventPattern>>,
    /// Patterns a published type has to match.
    pub publish: Option<Vec<EventPattern>>,
}

/// A place outside a module asks to connect to.
#[derive(Clone, Debug, PartialEq)]
pub struct EgressRule {
    /// Host name, `*.` wildcard, or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Protocol, as the package names it, such as `tcp` or `https`.
    pub protocol: String,
    /// Whether it may lie in a private range.
    pub lan: bool,
}

/// An OAuth provider of a manifest; all URLs are `https`.
#[derive(Clone, PartialEq)]
pub struct OAuthProvider {
    /// Where the device flow starts.
    pub device_authorization_url: String,
    /// Where tokens come from.
    pub token_url: String,
    /// Where tokens are revoked.
    pub revocation_url: Option<String>,
    /// The client's id.
    pub client_id: String,
    /// The client's secret, if the provider wants one.
    pub client_secret: Option<String>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// 1 to 8 exact DNS names, `name:port` if not 443, the token may go to.
    pub api_hosts: Vec<String>,
}

impl fmt::Debug for OAuthProvider {
    /// Without the client's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthProvider")
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret.as_ref().map(|_| "[redacted]"))
            .field("api_hosts", &self.api_hosts)
            .finish_non_exhaustive()
    }
}

/// The pages of a module: paths inside the package.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ui {
    /// The icon.
    pub icon: Option<String>,
    /// The settings page.
    pub settings: Option<String>,
    /// The widget and its size.
    pub widget: Option<(String, WidgetSize)>,
}

crate::module::words! {
    /// Columns and rows of a widget.
    WidgetSize {
        /// 1 by 1.
        Size1x1 = "1x1",
        /// 2 by 1.
        Size2x1 = "2x1",
        /// 2 by 2.
        Size2x2 = "2x2",
        /// 4 by 1.
        Size4x1 = "4x1",
        /// 1 by 2.
        Size1x2 = "1x2",
    }
}

/// When a `scheduled` module runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Every so many seconds, at least 1.
    EverySecs(u64),
    /// Five cron fields, in local time; their syntax was checked.
    Cron(String),
}

/// A manifest and what was odd about it.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedManifest {
    /// The manifest.
    pub manifest: Manifest,
    /// Unknown fields and the like: told, not refused.
    pub warnings: Vec<Problem>,
}

impl Manifest {
    /// Largest manifest in bytes.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Reads and checks a manifest (protocol, section 3).
    ///
    /// # Errors
    /// Every problem found, each with its path and one of the codes `manifest_invalid manifest_id manifest_version
    /// manifest_permission manifest_incompatible manifest_range manifest_host manifest_device`.
    pub fn parse(text: &[u8], core: &Version, limits: &ResourceLimits) -> Result<ParsedManifest, Problems> {
        parse::manifest(text, core, limits)
    }

    /// The runtime, given whether the package has a file `main.py` (protocol, section 3).
    #[must_use]
    pub fn runtime_with(&self, has_main_py: bool) -> Runtime {
        self.runtime.unwrap_or(if has_main_py { Runtime::Python3 } else { Runtime::Static })
    }

    /// The file that is started, relative to the package; `None` for `oci`.
    #[must_use]
    pub fn entry_point_with(&self, runtime: Runtime) -> Option<String> {
        match runtime {
            Runtime::Oci => None,
            Runtime::Python3 => Some(self.entry_point.clone().unwrap_or_else(|| "main.py".to_owned())),
            Runtime::Static => Some(self.entry_point.clone().unwrap_or_else(|| self.name.to_string())),
        }
    }

    /// Whether the module may hold and holds the permission.
    #[must_use]
    pub fn has(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }
}
