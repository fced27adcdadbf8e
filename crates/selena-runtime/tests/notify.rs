//! What systemd receives, on a real datagram socket. The sender is this test program itself, started once more with
//! its own environment, since a variable of a running program cannot be set safely.

use std::{os::unix::net::UnixDatagram, path::Path, process::Command};

use selena_runtime::notify;

/// Runs the sender in a process of its own; what it printed.
fn run(socket: Option<&Path>, watchdog_usec: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().expect("a test knows its program"));
    command.args(["--exact", "--ignored", "--nocapture", "sender"]);
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    command.envs(socket.map(|path| ("NOTIFY_SOCKET", path)));
    command.envs(watchdog_usec.map(|usec| ("WATCHDOG_USEC", usec)));
    let output = command.output().expect("the test program starts");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    printed
}

#[test]
#[ignore = "the tests below run it as a process of its own"]
fn sender() {
    notify::ready();
    notify::status("3 modules run\nREADY=0");
    notify::watchdog();
    notify::stopping();
    println!("interval {:?}", notify::watchdog_interval());
}

#[test]
fn systemd_hears_every_word_in_order() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    run(Some(&path), None);

    socket.set_nonblocking(true).expect("a socket can be non-blocking");
    let mut heard = Vec::new();
    let mut buffer = [0; 256];
    while let Ok(length) = socket.recv(&mut buffer) {
        heard.push(String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned());
    }
    assert_eq!(heard, ["READY=1", "STATUS=3 modules run", "WATCHDOG=1", "STOPPING=1"]);
}

#[test]
fn without_systemd_nothing_happens() {
    assert!(run(None, None).contains("interval None"));
}

#[test]
fn a_socket_nobody_reads_is_no_failure() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    run(Some(&dir.path().join("missing")), None);
}

#[test]
fn the_watchdog_is_fed_twice_per_timeout() {
    assert!(run(None, Some("10000000")).contains("interval Some(5s)"));
    assert!(run(None, Some("0")).contains("interval None"));
}
