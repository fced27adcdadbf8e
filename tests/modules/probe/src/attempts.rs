//! What a package tries at its start, for the report of its trial. Each outcome is a line of its output.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use nix::libc;
use serde_json::Value;

use crate::{syscall, trouble::IDLE};

/// Set for the copy of this program that is traced.
const TRACED: &str = "PROBE_TRACED";
/// `PTRACE_O_TRACESECCOMP`: whoever traces with it decides on calls that a filter gives to a tracer.
const TRACE_SECCOMP: i64 = 0x80;

/// Does what `start.json` asks for.
pub(crate) fn make(start: &Value) {
    if env::var_os(TRACED).is_some() {
        be_traced();
    }
    if env::var_os(IDLE).is_some() {
        return;
    }
    for call in start["calls"].as_array().into_iter().flatten() {
        println!(
            "{}: {}",
            call["name"].as_str().unwrap_or_default(),
            answer(call["number"].as_i64(), &call["arguments"])
        );
    }
    for name in start["variables"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        println!("{name}: {}", if env::var_os(name).is_some() { "there" } else { "not there" });
    }
    flood(&start["flood"]);
    let aside = start["flood_aside"].clone();
    thread::spawn(move || flood(&aside));
    for port in start["listen"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
        listen(port);
    }
    if let Ok(program) = env::current_exe() {
        for _ in 0..start["children"].as_u64().unwrap_or(0) {
            let _they_run_until_the_container_ends = Command::new(&program).env(IDLE, "1").spawn();
        }
    }
    if start["trace"] == true {
        trace();
    }
    if start["peek"] == true {
        peek();
    }
    if start["starve_init"] == true {
        println!("starve: {}", syscall::take_descriptors(1).unwrap_or_else(|| "done".to_owned()));
    }
    if let Some(keys) = start["forge"].as_array() {
        keys.iter().filter_map(Value::as_str).for_each(forge);
    }
}

fn answer(number: Option<i64>, arguments: &Value) -> String {
    let mut four = [0; 4];
    for (place, value) in four.iter_mut().zip(arguments.as_array().into_iter().flatten()) {
        *place = value.as_i64().unwrap_or(0);
    }
    syscall::call(number.unwrap_or(-1), four).unwrap_or_else(|| "done".to_owned())
}

fn flood(order: &Value) {
    let Some(number) = order["number"].as_i64() else { return };
    for _ in 0..order["times"].as_u64().unwrap_or(0) {
        let _only_to_be_denied = syscall::call(number, [0; 4]);
    }
}

fn listen(port: u64) {
    let Ok(port) = u16::try_from(port) else { return };
    if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
        thread::spawn(move || listener.incoming().for_each(drop));
    }
}

/// Makes a copy of this program whose denied calls it would let through as their tracer.
fn trace() {
    let copy = env::current_exe().and_then(|program| {
        Command::new(program).env(TRACED, "1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    });
    let Ok(mut copy) = copy else { return };
    let seized = syscall::call(libc::SYS_ptrace, [i64::from(libc::PTRACE_SEIZE), copy.id().into(), 0, TRACE_SECCOMP]);
    println!("seize: {}", seized.unwrap_or_else(|| "done".to_owned()));
    // Its end is the sign to go on.
    drop(copy.stdin.take());
    let mut said = String::new();
    if let Some(mut stdout) = copy.stdout.take() {
        let _what_was_read_is_told = stdout.read_to_string(&mut said);
    }
    let _ended = copy.wait();
    print!("{said}");
}

fn be_traced() -> ! {
    let _until_the_end = std::io::stdin().read(&mut [0]);
    let before = surroundings();
    for (name, number, arguments) in [
        ("traceme", libc::SYS_ptrace, [0; 4]),
        ("traced unshare", libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0]),
        ("traced mount", libc::SYS_mount, [0; 4]),
        ("traced keyctl", libc::SYS_keyctl, [0; 4]),
        ("traced clone", libc::SYS_clone, [libc::CLONE_NEWUSER.into(), 0, 0, 0]),
    ] {
        println!("{name}: {}", syscall::call(number, arguments).unwrap_or_else(|| "done".to_owned()));
    }
    println!("surroundings: {}", if surroundings() == before { "unchanged" } else { "changed" });
    std::process::exit(0)
}

/// The namespaces and mounts of this process.
fn surroundings() -> Vec<String> {
    let namespaces = ["user", "mnt", "net", "pid"].map(|kind| {
        fs::read_link(format!("/proc/self/ns/{kind}"))
            .map(|link| link.to_string_lossy().into_owned())
            .unwrap_or_default()
    });
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    namespaces.into_iter().chain([mounts]).collect()
}

/// Looks for the key of the reports in the process that has it.
fn peek() {
    for path in ["/proc/1/environ", "/proc/1/mem", "/proc/1/maps", "/proc/1/auxv"] {
        println!(
            "{path}: {}",
            fs::File::open(path).map_or_else(|error| error.kind().to_string(), |_| "open".to_owned())
        );
    }
    for path in ["/proc/1/fd", "/proc/1/map_files"] {
        println!("{path}: {}", fs::read_dir(path).map_or_else(|error| error.kind().to_string(), |_| "open".to_owned()));
    }
}

/// Says in the init's place that nothing was denied; `token` stands for the module's own.
fn forge(key: &str) {
    let own = env::var("SELENA_MODULE_TOKEN").unwrap_or_default();
    let authorization = match key {
        "" => String::new(),
        "token" => format!("Authorization: Bearer {own}\r\n"),
        other => format!("Authorization: Bearer {other}\r\n"),
    };
    let send = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", 7070))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "POST /api/v1/boot/denied?last=true HTTP/1.1\r\nHost: localhost:7070\r\n{authorization}Content-Length: 0\r\n\
             Connection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.lines().next().unwrap_or_default().to_owned())
    };
    println!("forged with `{key}`: {}", send().unwrap_or_else(|error| error.to_string()));
}
