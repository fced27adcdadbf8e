//! What the machine has.

use std::fs;

/// The machine's memory in MiB, if the kernel tells.
#[must_use]
pub fn memory_mb() -> Option<u32> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    u32::try_from(kib / 1024).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_has_memory() {
        assert!(super::memory_mb().is_some_and(|mib| mib > 64));
    }
}
