//! `resources` of a manifest: defaults and ranges (protocol, section 3; faults M06, M07).

use super::{
    ResourceLimits, Resources,
    reader::{Fields, Unknown},
};

/// Least memory in MiB: Docker itself refuses less than 6, and the hub's init wants some of it.
const MIN_MEMORY_MB: u32 = 8;
/// Least open files: the streams, the listener, and a few.
const MIN_NOFILE: u32 = 16;
/// Most open files: what the container engine can hand out without raising the host's own limit.
const MAX_NOFILE: u32 = 65_536;
/// Least share of a core.
const MIN_CPU: f64 = 0.05;

/// Most processes and threads.
const MAX_PIDS: u32 = 500;

impl Resources {
    /// Whether nothing in it is more than one module gets, whatever its manifest says.
    #[must_use]
    pub fn fits(&self, limits: &ResourceLimits) -> bool {
        self.memory_mb <= limits.memory_mb
            && self.cpu <= limits.cpu
            && self.pids <= MAX_PIDS
            && self.nofile <= MAX_NOFILE
            && self.data_mb <= limits.data_mb
    }

    /// What a manifest without `resources` gets, on a hub with these limits.
    #[must_use]
    pub fn default_within(limits: &ResourceLimits) -> Self {
        Self {
            memory_mb: limits.memory_mb.min(128),
            cpu: limits.cpu.min(0.5),
            pids: 100,
            nofile: 1024,
            data_mb: limits.data_mb.min(64),
        }
    }
}

/// Reads `resources`; every number out of its range is a problem, none is cut to fit.
pub(super) fn read(manifest: &mut Fields<'_, '_>, limits: &ResourceLimits) -> Resources {
    let default = Resources::default_within(limits);
    let Some(mut fields) = manifest.object("resources") else {
        return default;
    };
    fields.unknown(&["memory_mb", "cpu", "pids", "nofile", "data_mb"], Unknown::Refuse);
    Resources {
        memory_mb: fields.integer("memory_mb", MIN_MEMORY_MB..=limits.memory_mb).unwrap_or(default.memory_mb),
        cpu: fields.number("cpu", MIN_CPU..=limits.cpu).unwrap_or(default.cpu),
        pids: fields.integer("pids", 1..=MAX_PIDS).unwrap_or(default.pids),
        nofile: fields.integer("nofile", MIN_NOFILE..=MAX_NOFILE).unwrap_or(default.nofile),
        data_mb: fields.integer("data_mb", 1..=limits.data_mb).unwrap_or(default.data_mb),
    }
}
