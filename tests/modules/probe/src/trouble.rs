//! Misbehaviour, at the start of a package or on demand.

use std::{env, fs, hint, path::Path, process, thread};

use serde_json::Value;

use crate::NOTES;

/// Set for copies of this program that only have to be there.
pub(crate) const IDLE: &str = "PROBE_IDLE";

/// What `start.json` asks for instead of serving: `{"do": …}`. Gives the code to end with.
pub(crate) fn before_serving(start: &Value) -> Option<u8> {
    let order = if env::var_os(IDLE).is_some() { Some("deaf") } else { start["do"].as_str() };
    match order {
        Some("exit") => {
            println!("the probe ends as it was told");
            eprintln!("and this is its last line");
            Some(u8::try_from(start["code"].as_u64().unwrap_or(1)).unwrap_or(1))
        }
        Some("exit_with_data") if Path::new(NOTES).exists() => {
            let _only_to_spoil_the_old_data = fs::write(NOTES, "spoilt by the new version");
            Some(u8::try_from(start["code"].as_u64().unwrap_or(4)).unwrap_or(4))
        }
        Some("exit_with_device") if Path::new(start["path"].as_str().unwrap_or_default()).exists() => {
            println!("the probe has its device");
            Some(5)
        }
        Some("deaf_with_data") if !Path::new(NOTES).exists() => None,
        Some("deaf_with_device") if !Path::new(start["path"].as_str().unwrap_or_default()).exists() => None,
        Some("deaf" | "deaf_with_device" | "deaf_with_data") => loop {
            thread::park();
        },
        _ => None,
    }
}

/// What `POST /act {"act": …}` asks for and cannot be answered.
pub(crate) fn make(act: &str, arguments: &Value) {
    match act {
        "exit" => process::exit(i32::try_from(arguments["code"].as_i64().unwrap_or(1)).unwrap_or(1)),
        "abort" => process::abort(),
        "allocate" => allocate(),
        "fork" => fork(),
        "spin" => spin(),
        "print" => print(arguments["bytes"].as_u64().unwrap_or(0)),
        _ => {}
    }
}

fn allocate() {
    let mut held = Vec::new();
    loop {
        held.push(vec![1_u8; 1 << 20]);
        hint::black_box(&held);
    }
}

/// Starts copies of this program that do nothing, until the limit refuses one.
fn fork() {
    let Ok(program) = env::current_exe() else { return };
    while process::Command::new(&program).env(IDLE, "1").spawn().is_ok() {}
}

/// So many bytes of output, in lines.
fn print(bytes: u64) {
    for _ in 0..bytes / 100 {
        println!("{}", "x".repeat(99));
    }
}

fn spin() {
    for _ in 0..8 {
        thread::spawn(|| {
            loop {
                hint::spin_loop();
            }
        });
    }
}
