//! The README of the SDK does what it says: its files are written and its commands run, as they stand there.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use selena_testkit::FakeHub;
use serde_json::json;

const README: &str = include_str!("../../selena-sdk/README.md");

/// A code block whose first line names a place: the file it is, or for `sh` the directory it is run in.
struct Block<'a> {
    language: &'a str,
    place: &'a str,
    text: &'a str,
}

fn blocks() -> Vec<Block<'static>> {
    // Every second piece between fences is a block.
    let pieces = README.split("```").skip(1).step_by(2);
    let named = pieces.filter_map(|piece| {
        let (info, text) = piece.split_once('\n')?;
        let (language, place) = info.split_once(' ')?;
        Some(Block { language, place, text })
    });
    named.collect()
}

/// A directory as the README wants it: the author's directory, beside a clone of the project.
fn author(name: &str) -> PathBuf {
    // Kept from run to run, so that only the first one builds all dependencies.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    fs::create_dir_all(directory.join(name)).expect("a directory");
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project");
    match symlink(&clone, directory.join("selena-hub")) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("{error}"),
        _ => {}
    }
    // The project's own versions, which are there already.
    if !directory.join(name).join("Cargo.lock").exists() {
        fs::copy(clone.join("Cargo.lock"), directory.join(name).join("Cargo.lock")).expect("the project's versions");
    }
    for block in blocks().iter().filter(|block| block.language != "sh") {
        let file = directory.join(block.place);
        // An unchanged file keeps its time, so that cargo builds nothing anew.
        if fs::read_to_string(&file).is_ok_and(|before| before == block.text) {
            continue;
        }
        fs::create_dir_all(file.parent().expect("a file lies in a directory")).expect("a directory");
        fs::write(file, block.text).expect("a file");
    }
    directory
}

fn run_commands(directory: &Path, name: &str) {
    let commands = blocks().into_iter().filter(|block| block.language == "sh" && block.place == name);
    let mut count = 0;
    for block in commands {
        let status = Command::new("sh")
            .args(["-euc", block.text])
            .current_dir(directory.join(name))
            .env("CARGO_NET_OFFLINE", "true")
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .status();
        assert!(status.expect("there is a shell").success(), "{}", block.text);
        count += 1;
    }
    assert!(count > 0, "the README tells how to go on in `{name}`");
}

/// Unpacks what the README packed, as the hub does.
fn unpacked(zip: &Path) -> tempfile::TempDir {
    let package = tempfile::tempdir().expect("a temporary directory");
    let zip = fs::File::open(zip).expect("the README makes the package");
    selena_package::unpack(&zip, package.path(), &selena_package::Limits::default())
        .expect("the hub takes the package");
    package
}

/// What both modules do.
async fn check(package: &Path, command: tokio::process::Command) {
    let hub = FakeHub::for_package(package).await;
    let balcony = hub.register_device(&json!({ "name": "Balcony", "type": "sensor", "protocol": "test" })).await;
    let _module = hub.start_module(command).await;
    hub.expect_device("Greenhouse", |device| device.state.get("celsius") == Some(&json!(21.5))).await;
    hub.expect_subscription().await;
    for (celsius, frost) in [(2.0, true), (4.0, false), (1.0, true)] {
        hub.set_state(balcony.device_id, json!({ "celsius": celsius })).await;
        if frost {
            assert_eq!(hub.expect_event("greenhouse.frost").await.payload["celsius"], celsius);
        }
    }
    assert_eq!(hub.bad_signature_event("device.state_changed", json!({})).await, 401);
    let answer = hub.command("ping", json!({ "x": 1 })).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "pong": { "x": 1 } })));
    assert!(hub.get("/widget.html").await.text().starts_with("<!doctype html>"));
}

#[tokio::test]
async fn the_module_in_rust_is_built_tested_packed_and_works() {
    let directory = author("greenhouse");
    run_commands(&directory, "greenhouse");
    let package = unpacked(&directory.join("greenhouse/greenhouse-0.1.0.zip"));
    let program = package.path().join("greenhouse");
    let kind = Command::new("readelf").args(["--wide", "--program-headers"]).arg(&program).output().expect("binutils");
    assert!(!String::from_utf8_lossy(&kind.stdout).contains("INTERP"), "it is static");
    check(package.path(), tokio::process::Command::new(program)).await;
}

#[tokio::test]
async fn the_module_in_python_is_packed_and_works() {
    let directory = author("greenhouse-py");
    run_commands(&directory, "greenhouse-py");
    let package = unpacked(&directory.join("greenhouse-py/greenhouse-py-0.1.0.zip"));
    let mut python = tokio::process::Command::new("python3");
    python.arg(package.path().join("main.py"));
    python.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/python-base"));
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    check(package.path(), python).await;
}
