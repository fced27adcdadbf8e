//! Sockets as systemd passes them: descriptor 3 of a process that begins. The receiver is this test program itself,
//! started once more through a shell that does what systemd does.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use selena_runtime::sockets::PassedSockets;

const AS_SYSTEMD: &str = "exec 3<&0 </dev/null; export LISTEN_PID=${WRONG_PID:-$$} LISTEN_FDS=1 LISTEN_FDNAMES=api; \
                          exec \"$0\" --exact --ignored --nocapture receiver";

#[test]
#[ignore = "the tests below run it as a process of its own"]
fn receiver() {
    let mut passed = PassedSockets::receive().expect("the environment is good");
    println!("left {:?}", passed.left());
    assert!(passed.take("admin").is_none());
    if let Some(socket) = passed.take("api") {
        let (mut connection, _) = TcpListener::from(socket).accept().expect("somebody connects");
        connection.write_all(b"served").expect("it takes that");
    }
    assert!(passed.left().is_empty());
}

fn shell(listener: TcpListener) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", AS_SYSTEMD]).arg(std::env::current_exe().expect("a test knows its program"));
    command.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::piped());
    command
}

#[test]
fn a_socket_that_was_passed_serves() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a port");
    let child = shell(listener).spawn().expect("a shell");
    let mut said = String::new();
    TcpStream::connect(address).expect("it listens").read_to_string(&mut said).expect("it answers");
    assert_eq!(said, "served");
    let output = child.wait_with_output().expect("it ends");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && printed.contains("left [\"api\"]") && printed.contains("1 passed"), "{printed}");
}

#[test]
fn what_was_passed_to_another_process_is_not_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let output = shell(listener).env("WRONG_PID", "1").output().expect("a shell");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && printed.contains("left []") && printed.contains("1 passed"), "{printed}");
}
