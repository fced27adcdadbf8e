//! A module for the tests of this crate: does what `PROBE` says and writes what it saw, one `name=value` a line.
//!
//! It has no dependency, so that the tests can build it alone, statically: `rustc -C target-feature=+crt-static`.
#![expect(unsafe_code, clippy::unwrap_used, clippy::print_stdout, reason = "a program of the tests")]

use std::{
    ffi::{c_int, c_long},
    fmt::Display,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    process::{Command, exit},
};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int;
}

#[cfg(target_arch = "x86_64")]
const UNSHARE: c_long = 272;
#[cfg(target_arch = "aarch64")]
const UNSHARE: c_long = 97;
#[cfg(target_arch = "x86_64")]
const KEYCTL: c_long = 250;
#[cfg(target_arch = "aarch64")]
const KEYCTL: c_long = 219;
#[cfg(target_arch = "x86_64")]
const PTRACE: c_long = 101;
#[cfg(target_arch = "aarch64")]
const PTRACE: c_long = 117;
const IO_URING_SETUP: c_long = 425;
const CLONE3: c_long = 435;
const CLONE_NEWUSER: c_long = 0x1000_0000;

fn main() {
    let job = std::env::var("PROBE").unwrap_or_default();
    match job.split_once(':').unwrap_or((&job, "")) {
        ("look", _) => look(),
        ("exit", code) => exit(code.parse().unwrap()),
        ("abort", _) => std::process::abort(),
        ("hog", _) => hog(),
        ("fork", _) => fork(),
        ("orphans", _) => orphans(),
        ("parent", _) => drop(myself("exit:0").spawn().unwrap()),
        ("fill", directory) => fill(directory),
        ("files", _) => files(),
        ("flood", _) => flood(),
        ("serve", port) => serve(port.parse().unwrap()),
        ("idle", _) => idle(),
        ("remember", word) => remember(word),
        _ => exit(2),
    }
}

fn tell(name: &str, value: impl Display) {
    println!("{name}={value}");
}

fn outcome<T>(result: io::Result<T>) -> String {
    result.map_or_else(|error| error.raw_os_error().unwrap_or(-1).to_string(), |_| "ok".to_owned())
}

fn look() {
    for line in fs::read_to_string("/proc/self/status").unwrap().lines() {
        if let Some((name, value)) = line.split_once(':') {
            tell(name, value.trim());
        }
    }
    let devices = fs::read_to_string("/proc/net/dev").unwrap();
    let names: Vec<&str> = devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    tell("interfaces", names.join(","));
    tell("pid", std::process::id());
    tell("hostname", fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
    tell("directory", std::env::current_dir().unwrap().display());
    tell("passwd", fs::read_to_string("/etc/passwd").unwrap().contains(":/data:"));
    tell("home", std::env::var("HOME").unwrap_or_default());
    tell("secret", std::env::var("SECRET").unwrap_or_default());
    tell("init_environment", outcome(fs::read("/proc/1/environ")));
    tell("init_memory", outcome(fs::File::open("/proc/1/mem")));
    tell("init_files", outcome(fs::read_dir("/proc/1/fd")));
    tell("core_limit", limit("Max core file size"));
    tell("oom_score", fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim());
    tell("shm", outcome(fs::metadata("/dev/shm")));
    look_at_files();
    look_at_calls();
    tell("localhost", outcome(TcpStream::connect("localhost:7070")));
    tell("internet", outcome(TcpStream::connect("192.0.2.1:80")));
}

fn limit(name: &str) -> String {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
    line.trim_start_matches(name).split_whitespace().next().unwrap().to_owned()
}

fn look_at_files() {
    for (name, path) in [("root", "/x"), ("app", "/app/x"), ("data", "/data/x"), ("tmp", "/tmp/x"), ("etc", "/etc/x")] {
        tell(&format!("write_{name}"), outcome(File::create(path)));
    }
    for directory in ["data", "tmp"] {
        let copy = format!("/{directory}/copy");
        fs::copy("/proc/self/exe", &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).unwrap();
        tell(&format!("run_{directory}"), outcome(Command::new(&copy).env("PROBE", "exit:0").status()));
    }
}

fn look_at_calls() {
    // SAFETY: these calls get numbers, and null pointers that the kernel refuses before it looks behind them; nothing
    // they could do touches memory of this program.
    let results = unsafe {
        [
            ("vsock", outcome_of(socket(40, 1, 0).into())),
            ("alg", outcome_of(socket(38, 5, 0).into())),
            ("packet", outcome_of(socket(17, 3, 0).into())),
            ("netlink_route", outcome_of(socket(16, 3, 0).into())),
            ("netlink_audit", outcome_of(socket(16, 3, 9).into())),
            ("unix", outcome_of(socket(1, 1, 0).into())),
            ("unshare", outcome_of(syscall(UNSHARE, CLONE_NEWUSER))),
            ("io_uring", outcome_of(syscall(IO_URING_SETUP, 1 as c_long, 0 as c_long))),
            ("keyctl", outcome_of(syscall(KEYCTL, 0 as c_long, 0 as c_long, 0 as c_long))),
            ("ptrace", outcome_of(syscall(PTRACE, 0 as c_long, 0 as c_long, 0 as c_long, 0 as c_long))),
            ("clone3", outcome_of(syscall(CLONE3, 0 as c_long, 0 as c_long))),
        ]
    };
    for (name, result) in results {
        tell(&format!("call_{name}"), result);
    }
}

fn outcome_of(result: c_long) -> String {
    if result < 0 { outcome::<()>(Err(io::Error::last_os_error())) } else { "ok".to_owned() }
}

fn hog() {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(vec![1; 1024 * 1024]);
    }
}

fn myself(job: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env("PROBE", job);
    command
}

/// Makes orphans, and waits until nobody is left but the init and this.
fn orphans() {
    for _ in 0..5 {
        assert!(myself("parent").status().unwrap().success());
    }
    while processes() > 2 {
        std::thread::yield_now();
    }
    tell("reaped", "all");
}

fn processes() -> usize {
    let is_process =
        |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().parse::<u32>().is_ok();
    fs::read_dir("/proc").unwrap().map(is_process).filter(|is| *is).count()
}

fn fork() {
    let mut children = Vec::new();
    let refused = loop {
        match myself("idle").spawn() {
            Ok(child) => children.push(child),
            Err(error) => break error,
        }
    };
    tell("children", children.len());
    tell("refused", outcome::<()>(Err(refused)));
    for mut child in children {
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}

fn fill(directory: &str) {
    let mut file = File::create(format!("{directory}/fill")).unwrap();
    let mut written = 0;
    let refused = loop {
        match file.write(&[1; 64 * 1024]) {
            Ok(length) => written += length,
            Err(error) => break error,
        }
    };
    tell("written", written);
    tell("refused", outcome::<()>(Err(refused)));
    let mut made = 0;
    drop(fs::remove_file(format!("{directory}/fill")));
    let refused = loop {
        match File::create(format!("{directory}/{made}")) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    tell("made", made);
    tell("refused_file", outcome::<()>(Err(refused)));
}

fn files() {
    let mut all = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        all.push(file);
    }
    let open = all.len();
    drop(all);
    tell("open", open);
}

fn flood() {
    let line = [b'x'; 1023];
    let mut out = io::stdout().lock();
    for _ in 0..8 * 1024 {
        out.write_all(&line).unwrap();
        out.write_all(b"\n").unwrap();
    }
    out.write_all(b"end of the flood\n").unwrap();
}

fn serve(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    tell("serving", port);
    for connection in listener.incoming() {
        connection.unwrap().write_all(b"hello").unwrap();
    }
}

/// Waits for ever.
fn idle() {
    tell("idle", "");
    loop {
        std::thread::park();
    }
}

/// Tells what was noted in `/data` before, and adds a word.
fn remember(word: &str) {
    let mut known = String::new();
    let mut file = OpenOptions::new().create(true).read(true).append(true).open("/data/words").unwrap();
    file.read_to_string(&mut known).unwrap();
    tell("known", known.trim());
    write!(file, "{word} ").unwrap();
}
