//! The programs under test, built once.
//!
//! They are what a plain build of the workspace makes, unless the environment names others:
//! `SELENA_TEST_SELENAD`, `SELENA_TEST_SANDBOX`, `SELENA_TEST_SELENACTL`, `SELENA_TEST_AGENT`, `SELENA_TEST_INIT`, `SELENA_TEST_PROBE`.

use std::{
    env,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace")
}

fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The hub.
pub(crate) fn selenad() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        given("SELENA_TEST_SELENAD").unwrap_or_else(|| {
            // With the whole workspace, so that what a build of everything made is what is used.
            cargo(&["--workspace", "--bin", "selenad"], "");
            target_dir().join("debug/selenad")
        })
    })
}

/// The sandbox of a hub in two processes.
pub(crate) fn sandbox() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        given("SELENA_TEST_SANDBOX").unwrap_or_else(|| {
            cargo(&["--workspace", "--bin", "selena-sandbox"], "");
            target_dir().join("debug/selena-sandbox")
        })
    })
}

/// The command line.
pub(crate) fn selenactl() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        given("SELENA_TEST_SELENACTL").unwrap_or_else(|| {
            cargo(&["--workspace", "--bin", "selenactl"], "");
            target_dir().join("debug/selenactl")
        })
    })
}

/// The integrity agent.
pub(crate) fn agent() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        given("SELENA_TEST_AGENT").unwrap_or_else(|| {
            cargo(&["--workspace", "--bin", "selena-agent"], "");
            target_dir().join("debug/selena-agent")
        })
    })
}

/// The first process of every container.
pub(crate) fn init() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| given("SELENA_TEST_INIT").unwrap_or_else(|| build_static("selena-init", "init")))
}

/// The program in the packages of these tests.
pub(crate) fn probe() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| given("SELENA_TEST_PROBE").unwrap_or_else(|| build_static("selena-test-probe", "release")))
}

fn given(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(variable)?);
    assert!(path.is_file(), "{variable} names `{}`, which is no file", path.display());
    Some(path)
}

/// A program for a container that holds no C library.
fn build_static(package: &str, profile: &str) -> PathBuf {
    let triple = host_triple();
    cargo(
        &["-p", package, "--bin", package, "--profile", profile, "--target", &triple],
        "-C target-feature=+crt-static",
    );
    target_dir().join(triple).join(profile).join(package)
}

fn host_triple() -> String {
    let output = Command::new("rustc").current_dir(root()).arg("-vV").output().expect("`rustc` runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("`rustc -vV` names the host").to_owned()
}

fn cargo(arguments: &[&str], flags: &str) {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(["build", "--quiet", "--locked"]).args(arguments);
    if !flags.is_empty() {
        let inherited = env::var("RUSTFLAGS").unwrap_or_default();
        command.env("RUSTFLAGS", format!("{inherited} {flags}"));
    }
    // Root runs the tests; what is built stays the property of whoever called.
    if let (Some(uid), Some(gid)) = (number("SUDO_UID"), number("SUDO_GID")) {
        command.uid(uid).gid(gid);
    }
    assert!(command.status().expect("`cargo` runs").success(), "cargo build {arguments:?} failed");
}

fn number(variable: &str) -> Option<u32> {
    env::var(variable).ok()?.parse().ok()
}
