//! How a hub ends, starts again, and what is done to its files meanwhile.

use std::{fs, path::PathBuf};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use selena_powercut::{Cut, Mounted};

use super::Hub;
use crate::start::spawn;

impl Hub {
    /// The power goes: the hub and its containers end, and its disk is what the cut leaves of it.
    ///
    /// # Panics
    /// If it has no disk of its own, or that cannot be mounted.
    pub fn cut_power(&mut self, cut: Cut) {
        self.kill();
        for container in self.engine().containers(&self.prefix) {
            self.engine().kill(container["Id"].as_str().unwrap_or_default());
        }
        let data = self.data_dir();
        drop(self.disk.take());
        let disk = self.options.disk.as_ref().expect("the hub has a disk of its own");
        self.disk = Some(disk.after_cut(cut, &data).expect("a journal makes the disk whole"));
    }

    /// The file system of its disk, if it has one of its own.
    #[must_use]
    pub fn disk(&self) -> Option<&Mounted> {
        self.disk.as_ref()
    }

    /// Kills it; what it wrote stays in the kernel's cache.
    pub fn kill(&mut self) {
        self.processes.kill();
    }

    /// Tells it to end; gives its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        kill(Pid::from_raw(self.pid()), Signal::SIGTERM).expect("the hub can be told");
        let code = self.processes.core.wait().expect("the hub ends").code();
        if let Some(sandbox) = &mut self.processes.sandbox {
            kill(Pid::from_raw(sandbox.id().cast_signed()), Signal::SIGTERM).expect("the sandbox can be told");
            assert_eq!(sandbox.wait().expect("the sandbox ends").code(), Some(0), "the sandbox ends well");
        }
        code
    }

    /// Starts it again with the same data; its port changes.
    #[track_caller]
    pub fn start_again(&mut self) {
        let dir = self.dir.path();
        (self.processes, self.port) = spawn(&self.options, dir, &self.prefix, &self.token, &self.webhook_secret);
    }

    /// Starts it again with the same data and a new key for secrets.
    #[track_caller]
    pub fn start_again_with_new_key(&mut self) {
        self.options.new_key = true;
        self.start_again();
        self.options.new_key = false;
    }

    /// Starts it again so that it dies at the change of that number, counted from [`Hub::count_points`].
    pub fn start_again_to_die_at(&mut self, kill_at: u64) {
        self.kill();
        self.options.kill_at = kill_at;
        self.start_again();
        self.options.kill_at = 0;
    }

    /// From now on it counts the changes it makes.
    pub fn count_points(&self) {
        fs::write(self.points_file(), "").expect("the test's own file");
    }

    /// The changes it made since it counts: `<number> <what>`.
    #[must_use]
    pub fn points(&self) -> Vec<String> {
        let text = fs::read_to_string(self.points_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Counts no more.
    pub fn forget_points(&self) {
        fs::remove_file(self.points_file()).expect("it counted");
    }

    fn points_file(&self) -> PathBuf {
        self.dir.path().join("points")
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        self.processes.core.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Moves the days of all crashes that are stored, while the hub does not run.
    ///
    /// # Panics
    /// If its database is not as expected.
    pub fn set_crash_days(&self, years: i64) {
        const YEAR_MICROS: i64 = 365 * 24 * 3600 * 1_000_000;
        let database = rusqlite::Connection::open(self.data_dir().join("selena.db")).expect("the hub's database");
        let moved = "UPDATE modules SET crashes =
            (SELECT json_group_array(value + ?1) FROM json_each(modules.crashes))";
        database.execute(moved, [years * YEAR_MICROS]).expect("the table of modules");
    }

    /// Moves what was written lately from the database's log into the database, so that its size can be measured: the
    /// log is a ring of some MiB that is filled anew again and again.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn empty_log_of_database(&self) {
        let database = rusqlite::Connection::open(self.data_dir().join("selena.db")).expect("the hub's database");
        database.busy_timeout(std::time::Duration::from_secs(10)).expect("a limit");
        let busy: i64 =
            database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).expect("a checkpoint");
        assert_eq!(busy, 0, "the log is in use");
    }

    /// How many rows a table of its database has.
    ///
    /// # Panics
    /// If there is no such table.
    #[must_use]
    pub fn rows(&self, table: &str) -> i64 {
        let database = rusqlite::Connection::open(self.data_dir().join("selena.db")).expect("the hub's database");
        let count = database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
        count.expect("the table is there")
    }
}
