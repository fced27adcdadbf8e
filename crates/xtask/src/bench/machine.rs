//! Where and when it was measured.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Serialize;

/// What decides the figures besides the program.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    date: String,
    cpu: String,
    cores: usize,
    kernel: String,
    file_system: String,
    commit: String,
    load_before: String,
    load_after: String,
}

impl Machine {
    /// The machine before the measurements; they write below `dir`.
    pub(super) fn look(root: &Path, dir: &Path) -> Self {
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: read("/proc/sys/kernel/osrelease"),
            file_system: file_system(&read("/proc/mounts"), dir),
            commit: commit(root),
            load_before: load(),
            load_after: String::new(),
        }
    }

    /// Looks at the load again.
    pub(super) fn look_after(&mut self) {
        self.load_after = load();
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "- {}, commit {}", self.date, self.commit)?;
        writeln!(f, "- {}, {} cores, Linux {}, data on {}", self.cpu, self.cores, self.kernel, self.file_system)?;
        writeln!(f, "- load average {} before, {} after", self.load_before, self.load_after)
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn cpu() -> String {
    let text = read("/proc/cpuinfo");
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, model)| model.to_owned())
}

fn load() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let changed = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    if changed { commit + " with changes" } else { commit }
}

/// The type of the file system a path lies on: on one in memory, "durable" costs nothing.
fn file_system(mounts: &str, path: &Path) -> String {
    let mount = |line: &str| {
        let mut words = line.split(' ').skip(1);
        Some((PathBuf::from(words.next()?), words.next()?.to_owned()))
    };
    let above = mounts.lines().filter_map(mount).filter(|(point, _)| path.starts_with(point));
    above.max_by_key(|(point, _)| point.as_os_str().len()).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_point_decides() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/build xfs rw 0 0";
        let of = |path: &str| file_system(mounts, path.as_ref());
        assert_eq!([of("/srv/x"), of("/tmp/x"), of("/tmp/build/x"), of("/tmpx")], ["ext4", "tmpfs", "xfs", "ext4"]);
    }
}
