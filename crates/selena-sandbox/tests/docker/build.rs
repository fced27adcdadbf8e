//! The two programs that run in the containers, built once for all tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

const STATIC: &str = "-C target-feature=+crt-static -C relocation-model=static";

/// The init, built as for a release.
pub(crate) static INIT: LazyLock<PathBuf> = LazyLock::new(|| {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
    run(Command::new(env!("CARGO"))
        .args(["build", "-p", "selena-init", "--profile", "init", "--target", &triple, "--target-dir"])
        .arg(&target_dir)
        .env("RUSTFLAGS", STATIC)
        .current_dir(env!("CARGO_MANIFEST_DIR")));
    target_dir.join(triple).join("init/selena-init")
});

/// The module.
pub(crate) static PROBE: LazyLock<PathBuf> = LazyLock::new(|| {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("probe-{}", std::process::id()));
    run(Command::new("rustc")
        .args(["--edition", "2024", "-O", "-C", "panic=abort", "examples/probe.rs", "-o"])
        .arg(&out)
        .args(STATIC.split(' '))
        .current_dir(env!("CARGO_MANIFEST_DIR")));
    let probe = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe");
    fs::rename(out, &probe).unwrap();
    probe
});

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?} ended with {status}");
}
