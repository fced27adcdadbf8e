//! A desk of somebody who makes or installs modules: a directory, and the command line.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Hub, Package, programs};

/// A directory in which programs run.
#[derive(Debug)]
pub struct Desk(TempDir);

/// How a program ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it printed as errors.
    pub err: String,
}

impl Ran {
    /// Checks that it was done.
    ///
    /// # Panics
    /// If its exit code is not 0.
    #[track_caller]
    #[must_use]
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Checks that it was not done, with this word of the hub.
    ///
    /// # Panics
    /// If it was, or for another reason.
    #[track_caller]
    pub fn refused(&self, code: &str) {
        assert!(self.code == Some(1) && self.err.contains(&format!("({code})")), "not {code}: {self:?}");
    }

    /// The JSON it printed.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }
}

impl Desk {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs `selenactl` here, against a hub.
    #[track_caller]
    pub fn ctl(&self, hub: &Hub, arguments: &[&str]) -> Ran {
        let socket = hub.data_dir().join("run/admin.sock");
        let mut command = Command::new(programs::selenactl());
        command.arg("--socket").arg(socket).args(arguments);
        self.ran(command)
    }

    /// Runs a program here.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new(program);
        command.args(arguments);
        self.ran(command)
    }

    #[track_caller]
    fn ran(&self, mut command: Command) -> Ran {
        let output = command.current_dir(self.path()).stdin(Stdio::null()).output();
        output.unwrap_or_else(|error| panic!("{command:?} does not start: {error}")).into()
    }

    /// Writes a package's directory; its name.
    ///
    /// # Panics
    /// If it cannot be written.
    #[track_caller]
    pub fn directory(&self, name: &str, package: &Package) -> PathBuf {
        let directory = self.path().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        package.write_to(&directory);
        directory
    }
}
