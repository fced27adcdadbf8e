//! `selenactl module dev`: real processes beside a small hub.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::directory::{Directory, manifest};

/// How long anything is waited for that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A module that says what it was given and waits to be asked and ended.
const MODULE: &str = "
import json, os, subprocess, selena
names = [name for name in os.environ if name.startswith(('SELENA', 'MODULE_', 'DEV_'))]
selena.log(json.dumps({name: os.environ[name] for name in sorted(names)}))
selena.log(subprocess.Popen(['sleep', '1000']).pid)
selena.log(os.getcwd())
selena.Module.from_env().run()
";

/// A module in Rust that is healthy and nothing else.
const SERVER: &str = r#"use std::{env, io::{Read, Write}, net::TcpListener};
fn main() {
    let port: u16 = env::var("SELENA_MODULE_PORT").unwrap().parse().unwrap();
    for stream in TcpListener::bind(("127.0.0.1", port)).unwrap().incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }
}
"#;

/// `selenactl module dev` while it runs.
struct Dev {
    child: Child,
    lines: mpsc::Receiver<Value>,
}

impl Dev {
    fn start(module: &Directory, hub: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selenactl"));
        command.args(["--json", "module", "dev", "--hub", hub]).arg(module.path());
        command.env("DEV_MODULE_TOKEN", "dev-token").env("SELENA_WEBHOOK_SECRET", "a-secret");
        command
            .env("SELENA_ADMIN_SOCKET", "absent.sock")
            .env_remove("CARGO_TARGET_DIR")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let line = serde_json::from_str(&line.expect("a line")).expect("JSON");
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line; `None` at the end of all output.
    fn next(&self) -> Option<Value> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing happens"),
        }
    }

    /// Waits for an event, passing over all others.
    fn expect(&self, event: &str) -> Value {
        std::iter::from_fn(|| self.next()).find(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event}"))
    }

    /// The next line the module prints.
    fn output(&self) -> String {
        self.expect("output")["line"].as_str().expect("a text").to_owned()
    }

    fn interrupt(&self) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("an id"));
        kill(pid, Signal::SIGINT).expect("it runs");
    }

    /// Its exit code and what it said on standard error.
    fn end(mut self) -> (Option<i32>, String) {
        while self.next().is_some() {}
        let mut said = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("UTF-8");
        (self.child.wait().expect("it ends").code(), said)
    }
}

/// A hub that answers everything with this status, at an address of its own.
fn hub(status: u16) -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://127.0.0.1:{}", listener.local_addr().expect("an address").port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = BufReader::new(stream.try_clone().expect("a connection"));
            let mut line = String::new();
            while request.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
        }
    });
    url
}

/// Waits until a process is gone; one that only waits to be reaped is.
fn expect_gone(pid: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
    };
    while runs() {
        assert!(std::time::Instant::now() < deadline, "{pid} still runs");
        std::thread::yield_now();
    }
}

fn module(program: &str) -> Directory {
    let module = Directory::new();
    module.file("manifest.json", manifest(json!({"runtime": "python3"})));
    module.file("main.py", program);
    module
}

#[test]
fn a_module_runs_is_restarted_when_a_file_changes_and_ends_at_ctrl_c() {
    let module = module(MODULE);
    let hub = hub(200);
    let dev = Dev::start(&module, &hub);
    let started = dev.expect("started");
    let environment: Value = serde_json::from_str(&dev.output()).expect("JSON");
    let here = module.path().canonicalize().expect("a path");
    let url = format!("{hub}/api/v1");
    assert_eq!(
        environment,
        json!({
            "MODULE_TOKEN": "dev-token", "SELENA_CORE_API": url, "SELENA_CORE_URL": url, "SELENA_INSTALL_PATH": here,
            "SELENA_MODULE_NAME": "lamp", "SELENA_MODULE_PORT": started["port"].to_string(),
            "SELENA_MODULE_TOKEN": "dev-token", "SELENA_WEBHOOK_SECRET": "a-secret",
        })
    );
    let first_child = dev.output();
    assert_eq!(dev.output(), here.to_str().expect("UTF-8"));
    dev.expect("healthy");

    module.replace("main.py", format!("{MODULE}# and more\n"));
    assert_eq!(dev.expect("changed")["file"], "main.py");
    assert_eq!(dev.expect("stopped")["signal"], 15);
    expect_gone(&first_child);
    dev.expect("started");
    dev.output();
    let second_child = dev.output();
    dev.expect("healthy");

    dev.interrupt();
    assert_eq!(dev.next().map(|line| line["event"].clone()), Some(json!("stopped")), "it was restarted once");
    assert_eq!(dev.end(), (Some(0), String::new()));
    expect_gone(&second_child);
}

#[test]
fn a_crash_is_told_with_its_code_and_mended_by_a_change() {
    let module = module("print('no newline', end='', flush=True)\nimport sys\nsys.exit(3)");
    let dev = Dev::start(&module, &hub(200));
    assert_eq!(dev.output(), "no newline");
    let ended = dev.expect("ended");
    assert_eq!((&ended["code"], &ended["signal"]), (&json!(3), &Value::Null));

    // A manifest that is broken for a moment does not end it all.
    let good = std::fs::read_to_string(module.path().join("manifest.json")).expect("a file");
    module.file("manifest.json", "{");
    dev.expect("changed");
    module.file("main.py", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)");
    dev.expect("changed");
    module.file("manifest.json", good);
    let ended = dev.expect("ended");
    assert_eq!((&ended["code"], &ended["signal"]), (&Value::Null, &json!(11)));

    dev.interrupt();
    let (code, said) = dev.end();
    assert_eq!((code, said.contains("manifest.json has 1 problem(s)")), (Some(0), true), "{said}");
}

#[test]
fn a_cargo_project_is_built_and_a_failed_build_is_mended_by_a_change() {
    let module = Directory::new();
    module.file("manifest.json", manifest(json!({})));
    module.file("Cargo.toml", "[package]\nname = \"lamp\"\nedition = \"2024\"\n[workspace]\n");
    module.file(".selenaignore", "src/\n");
    module.file("src/main.rs", "fn main() { mistake }");
    let dev = Dev::start(&module, &hub(200));
    dev.expect("building");
    assert_eq!(dev.expect("ended")["code"], 101);
    module.replace("src/main.rs", SERVER);
    assert_eq!(dev.expect("changed")["file"], "src/main.rs");
    dev.expect("started");
    dev.expect("healthy");
    dev.interrupt();
    assert_eq!(dev.expect("stopped")["signal"], 15);
    assert_eq!(dev.end(), (Some(0), String::new()));
}

#[test]
fn a_module_that_will_not_end_is_ended() {
    let deaf = "import signal, time, selena\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nselena.log('deaf')\n\
                selena.Module.from_env().run()";
    for asks_twice in [false, true] {
        let module = module(deaf);
        let dev = Dev::start(&module, &hub(200));
        assert_eq!(dev.output(), "deaf");
        dev.interrupt();
        if asks_twice {
            dev.interrupt();
        }
        assert_eq!(dev.expect("stopped")["signal"], 9);
        assert_eq!(dev.end().0, Some(0));
    }
}

#[test]
fn what_cannot_be_run_is_told_at_once() {
    let module = module(MODULE);
    let (code, said) = Dev::start(&module, &hub(401)).end();
    assert!(code == Some(1) && said.contains("does not know this token"), "{said}");

    let ran = module.ctl(&["module", "dev", "--token", "x", "--hub", "http://hub.example:7070"]);
    assert!(ran.code == Some(2) && ran.err.contains("http://localhost:PORT"), "{ran:?}");
    assert_eq!(module.ctl(&["module", "dev"]).code, Some(2), "without a token");

    let manifest: Value =
        serde_json::from_slice(&std::fs::read(module.path().join("manifest.json")).expect("a file")).expect("JSON");
    let port = u16::try_from(manifest["port"].as_u64().expect("a port")).expect("a port");
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).expect("it is free");
    let (code, said) = Dev::start(&module, &hub(200)).end();
    assert!(code == Some(1) && said.contains("does the module run already?"), "{said}");

    module.file("manifest.json", "{}");
    let (code, said) = Dev::start(&module, &hub(200)).end();
    assert!(code == Some(1) && said.contains("name: field required"), "{said}");
}
