//! Debian roots, and the hub's package in one.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::programs;

/// Debian 12 with systemd and Docker.
#[must_use]
pub fn machine_root() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| script("debian-root", &["machine"]))
}

/// Debian 13, unpacked only: systemd-analyze and lintian.
#[must_use]
pub fn tools_root() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| script("debian-root", &["tools"]))
}

/// The hub's package with the programs under test.
#[must_use]
pub fn package() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| script("package", &["--profile", "dev"]))
}

/// A sample module, which is packed with the package.
///
/// # Panics
/// If there is none of that name.
#[must_use]
pub fn sample(name: &str) -> PathBuf {
    let _packed = package();
    let modules = fs::read_dir(programs::root().join("target/modules")).expect("samples are packed");
    let mut files = modules.map(|entry| entry.expect("listed").path());
    let begin = format!("{name}-");
    let found = files.find(|file| file.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&begin)));
    found.expect("a sample of that name")
}

/// The last line that a script of the project prints: where it put what it made.
fn script(name: &str, arguments: &[&str]) -> PathBuf {
    let mut command = Command::new(programs::root().join("scripts").join(name));
    command.args(arguments);
    // Root runs the tests; what is built stays the property of whoever called.
    let number = |variable| env::var(variable).ok().and_then(|text: String| text.parse().ok());
    if let (Some(uid), Some(gid)) = (number("SUDO_UID"), number("SUDO_GID")) {
        command.uid(uid).gid(gid);
    }
    let output = command.output().expect("a script of the project can be started");
    assert!(output.status.success(), "scripts/{name} failed: {}", text(&output));
    let printed = String::from_utf8(output.stdout).expect("text");
    PathBuf::from(printed.lines().last().expect("it prints a path"))
}

/// All that a program printed.
#[must_use]
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A root to be changed: what is written lies in a directory of the test's own.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
}

impl Scratch {
    /// The root, laid under a directory of its own.
    ///
    /// # Panics
    /// Without root.
    #[must_use]
    pub fn over(root: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("selena-root-").tempdir().expect("a temporary directory");
        for name in ["upper", "work", "merged"] {
            fs::create_dir(dir.path().join(name)).expect("the test's own directory");
        }
        let place = |name: &str| dir.path().join(name).display().to_string();
        let options = format!("lowerdir={},upperdir={},workdir={}", root.display(), place("upper"), place("work"));
        let scratch = Self { dir };
        let mounted =
            mount(Some("overlay"), &scratch.path(), Some("overlay"), MsFlags::empty(), Some(options.as_str()));
        mounted.expect("this test needs root and overlayfs");
        scratch
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("merged")
    }

    /// Runs a program in it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("chroot");
        command.arg(self.path()).arg(program).args(arguments).env_clear();
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command.output().expect("`chroot` runs")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _not_mounted = umount2(&self.path(), MntFlags::MNT_DETACH);
    }
}
