//! Takes all that a module may have, and keeps taking: processor, memory, output, sockets and processes.

use std::{env, hint, io::Write as _, net::TcpStream, process::Command, thread};

use serde_json::Value;

use crate::trouble::IDLE;

/// The core, as every module sees it.
const CORE: (&str, u16) = ("127.0.0.1", 7070);
/// More than a listener of the hub takes.
const SOCKETS: usize = 200;
const MIB: usize = 1024 * 1024;

/// Begins, and does not end. `memory_mb`: how much of it is held and written again and again.
pub(crate) fn all(start: &Value) {
    let megabytes = usize::try_from(start["memory_mb"].as_u64().unwrap_or(0)).unwrap_or(0);
    for _ in 0..8 {
        thread::spawn(|| {
            loop {
                hint::spin_loop();
            }
        });
    }
    thread::spawn(move || write_memory(megabytes));
    thread::spawn(print);
    thread::spawn(hold_sockets);
    thread::spawn(fork);
}

fn write_memory(megabytes: usize) {
    let mut held = vec![1_u8; megabytes * MIB];
    loop {
        for page in held.iter_mut().step_by(4096) {
            *page = page.wrapping_add(1);
        }
        hint::black_box(&held);
    }
}

fn print() {
    let line = [b'x'; 1023];
    let mut out = std::io::stdout();
    loop {
        // What reads it may be slower; that is the point.
        let _full = out.write_all(&line).and_then(|()| out.write_all(b"\n"));
    }
}

/// Opens connections that say nothing, and opens them again when the hub closes them.
fn hold_sockets() {
    let mut held = Vec::new();
    loop {
        match TcpStream::connect(CORE) {
            Ok(stream) if held.len() < SOCKETS => held.push(stream),
            Ok(_) | Err(_) => held.clear(),
        }
    }
}

/// Copies of this program that only are there, until the limit refuses one.
fn fork() {
    let Ok(program) = env::current_exe() else { return };
    let mut copies = Vec::new();
    while let Ok(copy) = Command::new(&program).env(IDLE, "1").spawn() {
        copies.push(copy);
    }
    loop {
        thread::park();
    }
}
