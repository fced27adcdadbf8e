//! The built binary as it runs on a hub, but for the container around it: in a network namespace of its own, with a
//! listener on `127.0.0.1:7070`. Needs root, and fails without it. What needs PID 1 is tried in `selena-sandbox`.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
    process::{Child, Command, Output, Stdio},
    thread,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        signal::{Signal, kill},
        socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, send, socket},
    },
    unistd::Pid,
};

/// Runs `job` in a thread that has a network namespace of its own, with `lo` up. The thread ends with it.
fn alone<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
    let run = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root, to make a network namespace");
        bring_lo_up();
        job()
    };
    thread::spawn(run).join().expect("the namespace thread panicked")
}

/// RTM_NEWLINK with IFF_UP for the interface with index 1.
fn bring_lo_up() {
    let netlink = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::empty(), SockProtocol::NetlinkRoute).unwrap();
    let mut message = Vec::new();
    message.extend(32_u32.to_ne_bytes());
    message.extend(16_u16.to_ne_bytes());
    message.extend(1_u16.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(1_u32.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    assert_eq!(send(netlink.as_raw_fd(), &message, MsgFlags::empty()), Ok(32));
}

fn init(script: &str) -> Child {
    init_of(&["/bin/sh", "-c", script])
}

fn init_of(argv: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_selena-init"))
        .arg("--")
        .args(argv)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/data")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn hub() -> TcpListener {
    TcpListener::bind("127.0.0.1:7070").unwrap()
}

/// Answers one request with `answer` and gives back what was asked.
fn answer(hub: &TcpListener, answer: &str) -> String {
    let (mut connection, _) = hub.accept().unwrap();
    let request = head_of(&mut connection);
    connection.write_all(answer.as_bytes()).unwrap();
    request
}

fn head_of(connection: &mut TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(connection);
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "init closed the connection");
    }
    head
}

fn with_body(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Starts `script` with the environment `body` and waits for its end.
fn run(script: &'static str, body: &'static str) -> Output {
    alone(move || {
        let hub = hub();
        let init = init(script);
        answer(&hub, &with_body(body));
        init.wait_with_output().unwrap()
    })
}

#[test]
fn the_module_gets_the_environment_of_the_hub_and_of_the_container() {
    let output = run("echo $SELENA_MODULE_TOKEN $HOME", "SELENA_MODULE_TOKEN=secret\0");
    assert_eq!(text(&output.stdout), "secret /data\n");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn the_request_is_what_the_hub_expects() {
    let request = alone(|| {
        let hub = hub();
        let mut init = init("true");
        let request = answer(&hub, &with_body(""));
        init.wait().unwrap();
        request
    });
    assert_eq!(request, "GET /boot HTTP/1.1\r\nHost: localhost:7070\r\nConnection: close\r\n\r\n");
}

#[test]
fn it_waits_for_a_listener_that_comes_late() {
    let output = alone(|| {
        let mut init = init("echo started");
        assert!(init.try_wait().unwrap().is_none(), "it gave up at once");
        answer(&hub(), &with_body(""));
        init.wait_with_output().unwrap()
    });
    assert_eq!(text(&output.stdout), "started\n");
}

#[test]
fn the_environment_is_not_in_its_own() {
    let output = run("tr '\\0' '\\n' < /proc/$PPID/environ; echo $TOKEN", "TOKEN=secret\0");
    assert_eq!(text(&output.stdout), "HOME=/data\nPATH=/usr/bin:/bin\nsecret\n");
}

#[test]
fn it_ends_as_the_module_ends() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -SEGV $$", 139)] {
        let output = run(script, "");
        assert_eq!(output.status.code(), Some(code), "{script}: {}", text(&output.stderr));
    }
}

#[test]
fn a_program_without_a_slash_is_looked_for_in_the_path() {
    for (argv, code) in [
        (&["sh", "-c", "exit 7"][..], 7),
        (&["selena-absent"], 127),
        (&["./sh"], 127),
        (&["/bin/../bin/sh", "-c", "exit 8"], 8),
    ] {
        let output = alone(move || {
            let hub = hub();
            let init = init_of(argv);
            // What the hub sends has no say in what is started.
            answer(&hub, &with_body("PATH=/nowhere\0"));
            init.wait_with_output().unwrap()
        });
        assert_eq!(output.status.code(), Some(code), "{argv:?}: {}", text(&output.stderr));
    }
}

#[test]
fn no_signal_is_blocked_or_ignored_in_the_module() {
    let output = run("grep -E 'Sig(Blk|Ign)' /proc/self/status", "");
    let said = text(&output.stdout);
    let masks: Vec<u64> =
        said.lines().map(|line| u64::from_str_radix(line.split_once('\t').unwrap().1, 16).unwrap()).collect();
    // Signals 32 and 33 are the C library's own; what they are is inherited from whoever started this test.
    assert_eq!(masks.iter().map(|mask| mask & 0x7fff_ffff).collect::<Vec<_>>(), [0, 0], "{said}");
}

#[test]
fn signals_are_passed_on() {
    for (signal, name) in
        [(Signal::SIGTERM, "TERM"), (Signal::SIGINT, "INT"), (Signal::SIGHUP, "HUP"), (Signal::SIGUSR1, "USR1")]
    {
        let script = "for s in TERM INT HUP USR1; do trap \"echo $s; exit 3\" $s; done; echo ready; while :; do sleep 1 & wait; done";
        let (heard, status) = alone(move || {
            let hub = hub();
            let mut init = init(script);
            answer(&hub, &with_body(""));
            let mut lines = BufReader::new(init.stdout.take().unwrap()).lines().map(Result::unwrap);
            assert_eq!(lines.next().as_deref(), Some("ready"));
            kill(pid(&init), signal).unwrap();
            (lines.next(), init.wait().unwrap())
        });
        assert_eq!((heard.as_deref(), status.code()), (Some(name), Some(3)));
    }
}

#[test]
fn sigterm_while_waiting_for_the_hub_ends_it() {
    let status = alone(|| {
        let hub = hub();
        let mut init = init("echo never");
        let connection = hub.accept().unwrap();
        kill(pid(&init), Signal::SIGTERM).unwrap();
        let status = init.wait().unwrap();
        drop(connection);
        status
    });
    assert_eq!(status.code(), Some(143));
}

#[test]
fn an_answer_without_an_environment_is_exit_code_75() {
    for (reply, word) in [
        ("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", "410"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nA=1\0", "cut"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nA=1", "middle"),
        ("", "no end"),
    ] {
        let output = alone(move || {
            let hub = hub();
            let init = init("echo never");
            answer(&hub, reply);
            init.wait_with_output().unwrap()
        });
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(75), ""), "{reply}");
        assert!(text(&output.stderr).contains(word), "{reply}: {}", text(&output.stderr));
    }
}

#[test]
fn a_program_that_cannot_start_is_named() {
    for (program, code) in [("/app/absent", 127), ("/etc/passwd", 126), ("/", 126)] {
        let (status, said) = alone(move || {
            let hub = hub();
            let mut init = Command::new(env!("CARGO_BIN_EXE_selena-init"))
                .args(["--", program])
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            answer(&hub, &with_body(""));
            let mut said = String::new();
            init.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            (init.wait().unwrap(), said)
        });
        assert_eq!(status.code(), Some(code), "{said}");
        assert!(said.contains(&format!("cannot start {program}: ")), "{said}");
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}
