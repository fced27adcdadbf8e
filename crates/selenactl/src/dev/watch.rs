//! Noticing that a file of the module has changed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::package::{Stamp, stamps};

/// How often the files are looked at. A burst is over when nothing changed from one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Written by cargo itself while it builds.
const CARGO_LOCK: &str = "Cargo.lock";

type Stamps = BTreeMap<String, Stamp>;

/// The files of a module, as they were and as they are.
#[derive(Debug)]
pub(super) struct Watch {
    dir: PathBuf,
    ticks: Interval,
    /// What was told last.
    told: Stamps,
    /// What was seen last.
    seen: Stamps,
}

impl Watch {
    /// Watches a directory; what changes after this is told.
    pub(super) fn new(dir: &Path) -> Self {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let told = look(dir);
        Self { dir: dir.to_owned(), ticks, seen: told.clone(), told }
    }

    /// Waits until files changed and have come to rest; one of their paths. Nothing is lost if this is not waited for
    /// to its end.
    pub(super) async fn changed(&mut self) -> String {
        loop {
            self.ticks.tick().await;
            if let Some(path) = self.compare(look(&self.dir)) {
                return path;
            }
        }
    }

    /// A path that changed since it was told last, if nothing changed since it was seen last.
    fn compare(&mut self, now: Stamps) -> Option<String> {
        if now != self.seen {
            self.seen = now;
            return None;
        }
        let path = difference(&self.told, &now)?;
        self.told = now;
        Some(path)
    }
}

/// A directory that cannot be read for a moment has no files for that moment.
fn look(dir: &Path) -> Stamps {
    let mut stamps = stamps(dir).unwrap_or_default();
    stamps.remove(CARGO_LOCK);
    stamps
}

/// The first path that is new, other or gone.
fn difference(before: &Stamps, now: &Stamps) -> Option<String> {
    let other = now.iter().find(|(path, stamp)| before.get(*path) != Some(stamp)).map(|(path, _)| path);
    other.or_else(|| before.keys().find(|path| !now.contains_key(*path))).cloned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_changes_is_told_once_when_it_is_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut watch = Watch::new(dir.path());
        let state = |size: u64| Stamps::from([("main.py".to_owned(), (0, 0, size, 0, 0))]);
        for size in [1, 2, 3] {
            assert_eq!(watch.compare(state(size)), None, "it goes on");
        }
        assert_eq!(watch.compare(state(3)), Some("main.py".to_owned()));
        assert_eq!(watch.compare(state(3)), None, "it was told");
        assert_eq!(watch.compare(state(4)), None);
        assert_eq!(watch.compare(state(3)), None, "and what is as it was is no change");
    }

    #[tokio::test(start_paused = true)]
    async fn every_kind_of_change_is_told_and_none_that_is_ignored() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |path: &str| dir.path().join(path);
        fs::write(at("main.py"), "1").expect("a file");
        fs::write(at(".selenaignore"), "*.log\nsrc/\n").expect("a file");
        let mut watch = Watch::new(dir.path());
        fs::write(at("main.py"), "22").expect("a file");
        assert_eq!(watch.changed().await, "main.py");
        fs::create_dir(at("ui")).expect("a directory");
        fs::write(at("ui/a.html"), "").expect("a file");
        assert_eq!(watch.changed().await, "ui/a.html");
        fs::create_dir(at("src")).expect("a directory");
        fs::write(at("src/main.rs"), "").expect("a file");
        assert_eq!(watch.changed().await, "src/main.rs", "it is not packed, but built");
        for ignored in [".swp", "src/.main.rs.swp", "x.log", "Cargo.lock"] {
            fs::write(at(ignored), "").expect("a file");
        }
        fs::remove_file(at("main.py")).expect("the file");
        assert_eq!(watch.changed().await, "main.py", "and nothing of what is ignored");
    }
}
