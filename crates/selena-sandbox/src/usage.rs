//! What a run used and opened: its peaks of memory and processes, its programs, and the ports that listen in it.

use std::{fs, io};

use bollard::{Docker, query_parameters::StatsOptions};
use futures_util::TryStreamExt;
use selena_core::ports::{RunId, RunUsage, SandboxError};

use crate::{
    cgroup::{self, Counts},
    failure,
    sandbox::Shared,
    sockets::HUB_PORT,
    start::blocking,
};

const MEASURING: &str = "measuring what the container uses";
/// The state "listening" in `/proc/net/tcp`.
const LISTEN: &str = "0A";

impl Shared {
    /// What a run that runs used and opened.
    pub(crate) async fn usage(&self, run: &RunId) -> Result<RunUsage, SandboxError> {
        let namespace = self.runs.namespace(run)?;
        let open_ports = namespace.run(listening_ports).await.map_err(failure::system(MEASURING))?;
        let Counts { peak_memory_bytes, peak_processes, programs } = self.counts(run).await?;
        let peak_memory_bytes = match peak_memory_bytes {
            Some(peak) => Some(peak),
            None => self.memory_by_engine(run).await?,
        };
        Ok(RunUsage { peak_memory_bytes, open_ports, peak_processes, programs })
    }

    async fn memory_by_engine(&self, run: &RunId) -> Result<Option<u64>, SandboxError> {
        let options = StatsOptions { stream: false, one_shot: true };
        let measure = |docker: Docker| async move { docker.stats(&run.0, Some(options)).try_next().await };
        let memory = self.engine.ask_if_there(MEASURING, measure).await?.flatten().and_then(|stats| stats.memory_stats);
        // With cgroup v1 the engine knows the peak; with v2 and an old kernel, only what is used now.
        Ok(memory.and_then(|memory| memory.max_usage.filter(|peak| *peak > 0).or(memory.usage)))
    }

    async fn counts(&self, run: &RunId) -> Result<Counts, SandboxError> {
        let inspect = |docker: Docker| async move { docker.inspect_container(&run.0, None).await };
        let seen = self.engine.ask_if_there(MEASURING, inspect).await?.ok_or(SandboxError::RunEnded)?;
        let Some(pid) = seen.state.and_then(|state| state.pid).filter(|pid| *pid > 0) else {
            return Ok(Counts::default());
        };
        let run = run.clone();
        blocking(MEASURING, move || Ok(cgroup::counts(pid, &run))).await
    }
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
