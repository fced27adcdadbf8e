//! What the kernel counted for a container, in cgroup v1 or v2. What it does not tell is `None`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use selena_core::ports::RunId;

const CGROUPS: &str = "/sys/fs/cgroup";
/// The first process of every container; it is no program of the module.
const INIT: &str = "/selena/init";
/// Most programs that are named, and the longest path that is.
const MAX_PROGRAMS: usize = 32;
const MAX_PATH_BYTES: usize = 256;

/// The counts of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// `memory.peak`; only cgroup v2 has it under this name.
    pub(crate) peak_memory_bytes: Option<u64>,
    /// `pids.peak`, of Linux 6.0: processes and threads.
    pub(crate) peak_processes: Option<u64>,
    /// Paths of the programs that run now, the init apart.
    pub(crate) programs: Option<Vec<String>>,
}

/// Reads the counts. The container is found by a process id, and proved by the run's own id in the name of its cgroup.
pub(crate) fn counts(pid: i64, run: &RunId) -> Counts {
    let Ok(groups) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return Counts::default() };
    let number = |dir: PathBuf, file: &str| fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok();
    let pids = directory(&groups, "pids", run);
    Counts {
        peak_memory_bytes: unified(&groups, run).and_then(|dir| number(dir, "memory.peak")),
        peak_processes: pids.clone().and_then(|dir| number(dir, "pids.peak")),
        programs: pids.and_then(|dir| programs(&dir)),
    }
}

/// Where a controller counts: in its own hierarchy of v1, or else in v2's only one.
fn directory(groups: &str, controller: &str, run: &RunId) -> Option<PathBuf> {
    let of_v1 = groups.lines().find_map(|line| {
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        let has_it = controllers.split(',').any(|name| name == controller);
        (has_it && group.contains(run.0.as_str())).then(|| below(controllers, group))
    });
    of_v1.or_else(|| unified(groups, run))
}

fn unified(groups: &str, run: &RunId) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    group.contains(run.0.as_str()).then(|| below("", group))
}

fn below(hierarchy: &str, group: &str) -> PathBuf {
    Path::new(CGROUPS).join(hierarchy).join(group.trim_start_matches('/'))
}

/// By the link to the file that runs, which a program cannot change as it can its name.
fn programs(group: &Path) -> Option<Vec<String>> {
    let processes = fs::read_to_string(group.join("cgroup.procs")).ok()?;
    let path = |pid: &str| {
        // One that has ended meanwhile has no link any more.
        let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?.to_string_lossy().into_owned();
        (path != INIT && path.len() <= MAX_PATH_BYTES).then_some(path)
    };
    let distinct: BTreeSet<_> = processes.lines().filter_map(path).collect();
    Some(distinct.into_iter().take(MAX_PROGRAMS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunId {
        RunId("ab".repeat(32))
    }

    #[test]
    fn a_controller_is_found_in_both_versions() {
        let id = run().0;
        let one = format!("12:pids:/docker/{id}\n3:cpu,cpuacct:/docker/{id}\n0::/\n");
        let dir = |groups: &str, controller| directory(groups, controller, &run());
        assert_eq!(dir(&one, "pids"), Some(format!("/sys/fs/cgroup/pids/docker/{id}").into()));
        assert_eq!(dir(&one, "cpu"), Some(format!("/sys/fs/cgroup/cpu,cpuacct/docker/{id}").into()));
        assert_eq!(dir(&one, "memory"), None);
        let two = format!("0::/system.slice/docker-{id}.scope\n");
        let expected = PathBuf::from(format!("/sys/fs/cgroup/system.slice/docker-{id}.scope"));
        assert_eq!((dir(&two, "pids"), unified(&two, &run())), (Some(expected.clone()), Some(expected)));
    }

    #[test]
    fn another_containers_group_is_not_read() {
        let other = format!("12:pids:/docker/{}\n0::/docker/{}\n", "cd".repeat(32), "cd".repeat(32));
        assert_eq!(directory(&other, "pids", &run()), None);
        assert_eq!(counts(1, &run()), Counts::default());
    }
}
