//! Points at which a test kills the hub (series W): before and after each call that changes what outlives the process.
//!
//! All threads share one numbering, so that "the 17th change" is the same thing in each run of the same transaction,
//! as far as the transaction is the only thing that happens. A point is named, and what was reached is written down.
//!
//! In a release build [`point`] is empty. In a debug build it is as good as empty unless the environment says
//! [`AT`] (which point kills; 0 for none) and [`LOG`] (the file that gets `<number> <name>` of each).

#![warn(missing_docs)]

/// Variable that holds the number of the point that kills, from 1; 0 for none.
pub const AT: &str = "SELENA_KILL_AT";
/// Variable that holds the path of the file that the reached points are appended to. Numbers begin when it is there.
pub const LOG: &str = "SELENA_KILL_LOG";

/// Something that outlives the process is about to change, or was just changed.
#[cfg(not(debug_assertions))]
pub fn point(_what: &str) {}

/// Something that outlives the process is about to change, or was just changed.
///
/// # Panics
/// If it is to kill this process and cannot.
#[cfg(debug_assertions)]
pub fn point(what: &str) {
    if let Some(armed) = armed::armed() {
        armed.reached(what);
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::{
        fs::OpenOptions,
        io::Write,
        path::{Path, PathBuf},
        sync::{Mutex, OnceLock},
    };

    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };

    /// A process that counts its points.
    #[derive(Debug)]
    pub(crate) struct Armed {
        log: PathBuf,
        kill_at: u64,
        reached: Mutex<u64>,
    }

    /// What the environment asks for.
    pub(crate) fn armed() -> Option<&'static Armed> {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let read = || {
            let log = std::env::var_os(super::LOG)?;
            let kill_at = std::env::var(super::AT).ok()?.parse().ok()?;
            Some(Armed::new(Path::new(&log), kill_at))
        };
        ARMED.get_or_init(read).as_ref()
    }

    impl Armed {
        pub(crate) fn new(log: &Path, kill_at: u64) -> Self {
            // A hub that starts itself again goes on counting.
            let lines = std::fs::read_to_string(log).map_or(0, |text| text.lines().count());
            Self { log: log.to_owned(), kill_at, reached: Mutex::new(lines as u64) }
        }

        pub(crate) fn reached(&self, what: &str) {
            // The lock is held to the end: no other thread goes past a point that kills.
            let mut reached = self.reached.lock().expect("nothing panics while it counts");
            let Ok(mut log) = OpenOptions::new().append(true).open(&self.log) else { return };
            *reached += 1;
            writeln!(log, "{reached} {what}").expect("the test's own file takes a line");
            if *reached == self.kill_at {
                kill(Pid::this(), Signal::SIGKILL).expect("a process may kill itself");
                loop {
                    std::thread::park();
                }
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn points_are_counted_from_when_the_file_is_there() {
            let dir = tempfile::tempdir().expect("a directory");
            let log = dir.path().join("points");
            let armed = Armed::new(&log, 0);
            armed.reached("too early");
            std::fs::write(&log, "").expect("made");
            armed.reached("before a rename");
            armed.reached("after a rename");
            let text = std::fs::read_to_string(&log).expect("read");
            assert_eq!(text, "1 before a rename\n2 after a rename\n");
        }
    }
}
