//! An agent of a test's own: its directories, its keys, its watched files.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_selena-agent");

/// A place with some watched files.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
}

impl Place {
    /// Directories and files, not recorded yet.
    pub(crate) fn new() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this test needs root: it changes owners and mounts file systems");
        let place = Self { dir: tempfile::Builder::new().prefix("selena-agent-test-").tempdir().expect("a directory") };
        for directory in ["secure", "data", "watched"] {
            fs::create_dir(place.path(directory)).expect("made");
        }
        fs::set_permissions(place.secure(), fs::Permissions::from_mode(0o700)).expect("changed");
        place
    }

    /// The same with files, recorded.
    pub(crate) fn recorded() -> Self {
        let place = Self::new();
        place.write("watched/core", b"the core's program");
        place.write("watched/lib/one", b"one");
        place.write("watched/lib/two", b"two");
        std::os::unix::fs::symlink("lib/one", place.path("watched/link")).expect("linked");
        place.baseline();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn secure(&self) -> PathBuf {
        self.path("secure")
    }

    pub(crate) fn watched(&self) -> PathBuf {
        self.path("watched")
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("in a directory")).expect("made");
        fs::write(path, bytes).expect("written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The command line of the agent in this place.
    pub(crate) fn command(&self) -> Command {
        self.command_of(Path::new(AGENT))
    }

    pub(crate) fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        self.options(&mut command);
        command
    }

    /// The options that put an agent in this place.
    pub(crate) fn options(&self, command: &mut Command) {
        command.arg("--secure-dir").arg(self.secure()).arg("--data-dir").arg(self.path("data"));
        command.arg("--signing-key").arg(self.path("keys/agent.key")).stdin(Stdio::null());
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("the agent runs")
    }

    #[track_caller]
    pub(crate) fn baseline(&self) {
        let watched = self.watched();
        let output = self.run(&["baseline", watched.to_str().expect("text")]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// What a check says, and its exit code.
    #[track_caller]
    pub(crate) fn check(&self) -> (i32, Value) {
        outcome(&self.run(&["check", "--json"]))
    }

    #[track_caller]
    pub(crate) fn restore(&self) -> (i32, Value) {
        outcome(&self.run(&["restore", "--json"]))
    }

    /// What `check` found: the kind and the file below the watched directory.
    #[track_caller]
    pub(crate) fn found(&self) -> Vec<(String, String)> {
        let (_, report) = self.check();
        let watched = fs::canonicalize(self.watched()).expect("there");
        let violations = report["violations"].as_array().expect("a list");
        let told = |violation: &Value| {
            let file = violation["file"].as_str().expect("a file");
            let file = Path::new(file).strip_prefix(&watched).map_or(file, |rest| rest.to_str().expect("text"));
            (violation["kind"].as_str().expect("a kind").to_owned(), file.to_owned())
        };
        violations.iter().map(told).collect()
    }

    /// All that can be known of the watched files.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        look(&self.watched(), &mut all);
        all
    }

    pub(crate) fn published(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.path("data/integrity.json")).ok()?).ok()
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.run(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub(crate) fn in_safe_mode(&self) -> bool {
        self.path("data/SAFE_MODE").exists()
    }
}

fn look(path: &Path, all: &mut BTreeMap<PathBuf, String>) {
    let metadata = fs::symlink_metadata(path).expect("there");
    let content = if metadata.is_symlink() {
        fs::read_link(path).expect("read").display().to_string()
    } else if metadata.is_file() {
        format!("{} {}", hex::encode(fs::read(path).expect("read")), metadata.nlink())
    } else {
        for entry in fs::read_dir(path).expect("listed") {
            look(&entry.expect("one").path(), all);
        }
        String::new()
    };
    let told = format!("{:o} {}:{} {content}", metadata.mode(), metadata.uid(), metadata.gid());
    all.insert(path.to_owned(), told);
}

#[track_caller]
pub(crate) fn outcome(output: &Output) -> (i32, Value) {
    let code = output.status.code().unwrap_or_else(|| panic!("it was killed: {}", text(&output.stderr)));
    let report = serde_json::from_slice(&output.stdout);
    (code, report.unwrap_or_else(|error| panic!("{error}: exit {code}: {}", text(&output.stderr))))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until something is there.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, secs: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(secs);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {secs} s: {what}");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "the pause between two looks; what is waited for is looked at")]
fn pause() {
    thread::sleep(Duration::from_millis(20));
}

/// A watching agent; killed when dropped.
pub(crate) struct Watching {
    pub(crate) process: Child,
    log: PathBuf,
}

impl Watching {
    pub(crate) fn start(place: &Place, options: &[&str]) -> Self {
        let log = place.path("log");
        let file = OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut command = place.command();
        command.args(["run", "--interval", "1"]).args(options);
        // The containers of other tests, and of hubs on this machine, are none of ours.
        if !options.contains(&"--container-label") {
            command.args(["--container-label", "selena-agent-test.none"]);
        }
        let process = command.stdout(Stdio::null()).stderr(file).spawn().expect("the agent starts");
        Self { process, log }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("ended");
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _dead_already = self.process.kill();
        let _waited_for_already = self.process.wait();
        if thread::panicking() {
            let _nobody = std::io::Write::write_all(&mut std::io::stderr(), self.log().as_bytes());
        }
    }
}

/// Numbers that look random and are the same in each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).expect("small")).expect("small")
    }
}

/// Opens a file to write over it.
pub(crate) fn open_to_change(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).expect("opened")
}
