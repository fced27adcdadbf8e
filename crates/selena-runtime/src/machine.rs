//! What the machine has.

use std::fs;

use serde_json::{Value, json};

/// Largest data volume of a module, in MiB.
pub const MAX_DATA_MB: u32 = 4096;

/// The machine's memory in MiB, if the kernel tells.
#[must_use]
pub fn memory_mb() -> Option<u32> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    u32::try_from(kib / 1024).ok()
}

/// What one module gets at most on this machine: memory in MiB, half of what there is, and all cores.
#[must_use]
pub fn module_share() -> (u32, f64) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (memory_mb().unwrap_or(1024) / 2, f64::from(u32::try_from(cores).unwrap_or(u32::MAX)))
}

/// The machine, for people: cores, memory, architecture, model.
#[must_use]
pub fn hardware() -> Value {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = ["/proc/device-tree/model", "/sys/class/dmi/id/product_name"].iter().find_map(|path| first_line(path));
    json!({ "cores": cores, "memory_mb": memory_mb(), "architecture": std::env::consts::ARCH, "model": model })
}

/// The system, for people; `slot` is null where there are no slots.
#[must_use]
pub fn os() -> Value {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(line.trim_matches('"').to_owned())
    };
    json!({ "name": field("PRETTY_NAME"), "version": field("IMAGE_VERSION"), "slot": null })
}

fn first_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_has_memory() {
        assert!(super::memory_mb().is_some_and(|mib| mib > 64));
    }
}
