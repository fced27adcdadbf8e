//! What a run used and opened: its peak of memory and the ports that listen in it.

use std::{fs, io, path::PathBuf};

use bollard::{Docker, query_parameters::StatsOptions};
use futures_util::TryStreamExt;
use selena_core::ports::{RunId, RunUsage, SandboxError};

use crate::{failure, sandbox::Shared, sockets::HUB_PORT, start::blocking};

const MEASURING: &str = "measuring what the container uses";
/// The state "listening" in `/proc/net/tcp`.
const LISTEN: &str = "0A";
const UNIFIED_CGROUPS: &str = "/sys/fs/cgroup";

impl Shared {
    /// Peak memory and open ports of a run that runs.
    pub(crate) async fn usage(&self, run: &RunId) -> Result<RunUsage, SandboxError> {
        let namespace = self.runs.namespace(run)?;
        let open_ports = namespace.run(listening_ports).await.map_err(failure::system(MEASURING))?;
        Ok(RunUsage { peak_memory_bytes: self.peak_memory(run).await?, open_ports })
    }

    async fn peak_memory(&self, run: &RunId) -> Result<Option<u64>, SandboxError> {
        if let Some(peak) = self.peak_of_unified_cgroup(run).await? {
            return Ok(Some(peak));
        }
        let options = StatsOptions { stream: false, one_shot: true };
        let measure = |docker: Docker| async move { docker.stats(&run.0, Some(options)).try_next().await };
        let memory = self.engine.ask_if_there(MEASURING, measure).await?.flatten().and_then(|stats| stats.memory_stats);
        // With cgroup v1 the engine knows the peak; with v2 and an old kernel, only what is used now.
        Ok(memory.and_then(|memory| memory.max_usage.filter(|peak| *peak > 0).or(memory.usage)))
    }

    /// `memory.peak` of cgroup v2, if the host has that. It is found by a process id, and proved by the run's own.
    async fn peak_of_unified_cgroup(&self, run: &RunId) -> Result<Option<u64>, SandboxError> {
        let inspect = |docker: Docker| async move { docker.inspect_container(&run.0, None).await };
        let seen = self.engine.ask_if_there(MEASURING, inspect).await?.ok_or(SandboxError::RunEnded)?;
        let Some(pid) = seen.state.and_then(|state| state.pid).filter(|pid| *pid > 0) else { return Ok(None) };
        let run = run.clone();
        blocking(MEASURING, move || Ok(memory_peak(pid, &run))).await
    }
}

fn memory_peak(pid: i64, run: &RunId) -> Option<u64> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let is_of_run = group.contains(run.0.as_str());
    let path = PathBuf::from(UNIFIED_CGROUPS).join(group).join("memory.peak");
    is_of_run.then(|| fs::read_to_string(path).ok()?.trim().parse().ok()).flatten()
}

/// The TCP ports that listen in the calling thread's namespace, but for the hub's own, in order.
fn listening_ports() -> io::Result<Vec<u16>> {
    let mut ports = ports_in(&fs::read_to_string("/proc/thread-self/net/tcp")?);
    // The second table is not there if the kernel has no IPv6.
    ports.extend(ports_in(&fs::read_to_string("/proc/thread-self/net/tcp6").unwrap_or_default()));
    ports.retain(|port| *port != HUB_PORT);
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// `sl local_address rem_address st …`, addresses as `hex:hex`.
fn ports_in(table: &str) -> Vec<u16> {
    let port = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next()?, fields.nth(1)?);
        (state == LISTEN).then(|| u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()).flatten()
    };
    table.lines().skip(1).filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::ports_in;

    #[test]
    fn only_listening_ports_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1B9E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n\
            \x20  1: 0100007F:1FA4 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1\n\
            \x20  2: 00000000:1FA5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1\n";
        assert_eq!(ports_in(table), [7070, 8101]);
        let table6 = "head\n 0: 00000000000000000000000000000000:1FA6 00000000000000000000000000000000:0000 0A 0:0 0 0\nbroken\n";
        assert_eq!(ports_in(table6), [8102]);
    }
}
