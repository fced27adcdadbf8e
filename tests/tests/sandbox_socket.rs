//! Series I against the sandbox's real program: peers that break the rules, while a core is served.

use std::{
    fs,
    io::{IoSlice, Read, pipe},
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::{
    socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, sendmsg,
        setsockopt, socket, sockopt,
    },
    time::TimeVal,
};
use selena_tests::{CORE_USER, Hub, Options, Package, unprivileged, wait};

/// The first packet of a core, in the protocol's version 1.
const HELLO: &[u8] = b"slnsandb\x01\0\0\0";

fn hub() -> Hub {
    Hub::with(Options { two_processes: true, ..Options::default() })
}

/// A connection whose reads do not wait for ever.
fn connected(path: &Path) -> nix::Result<OwnedFd> {
    let peer = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&peer, sockopt::ReceiveTimeout, &TimeVal::new(20, 0))?;
    setsockopt(&peer, sockopt::SndBuf, &(300 * 1024))?;
    connect(peer.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(peer)
}

/// Reads to the end; whether it came.
fn is_closed(peer: &OwnedFd) -> bool {
    let mut buffer = [0; 1024];
    loop {
        match recv(peer.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(0) | Err(nix::errno::Errno::ECONNRESET) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

fn descriptors_of(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count()
}

#[test]
fn i01_i05_what_is_no_handshake_is_closed_and_the_core_is_served_on() {
    let hub = hub();
    let path = hub.sandbox_socket();
    let before = descriptors_of(hub.sandbox_pid());
    let long = vec![b'x'; 256 * 1024 + 1];
    let packets: [&[u8]; 6] = [b"", b"\0", b"slnsandb", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 512], &long];
    for packet in packets {
        let peer = connected(&path).expect("root connects to a development hub");
        let _it_may_be_closed = send(peer.as_raw_fd(), packet, MsgFlags::MSG_NOSIGNAL);
        assert!(is_closed(&peer), "{} bytes", packet.len());
    }
    let _served = hub.install(&Package::probe("lamp", 8100));
    let _gone = hub.client().delete("/modules/lamp").expect(204);
    wait::until("nothing of them is left open", 10, || descriptors_of(hub.sandbox_pid()) <= before);
}

#[test]
fn i02_a_peer_that_says_nothing_is_closed_after_ten_seconds() {
    let hub = hub();
    let peer = connected(&hub.sandbox_socket()).expect("root connects to a development hub");
    let begun = Instant::now();
    assert!(is_closed(&peer));
    let waited = begun.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&waited), "{waited:?}");
}

#[test]
fn i04_older_and_newer_peers_and_a_second_core_are_told_why() {
    let hub = hub();
    let verdict = |hello: &[u8]| {
        let peer = connected(&hub.sandbox_socket()).expect("root connects to a development hub");
        send(peer.as_raw_fd(), hello, MsgFlags::MSG_NOSIGNAL).expect("it is sent");
        let mut answer = [0; 64];
        let bytes = recv(peer.as_raw_fd(), &mut answer, MsgFlags::empty()).expect("an answer comes");
        assert!(is_closed(&peer));
        assert_eq!(&answer[..12], HELLO, "it says its own version");
        answer[12..bytes].to_vec()
    };
    assert_eq!(verdict(b"slnsandb\0\0\0\0"), [1], "older");
    assert_eq!(verdict(b"slnsandb\x02\0\0\0 and more"), [1], "newer");
    assert_eq!(verdict(HELLO), [2], "the core is there already");
}

#[test]
fn i06_another_user_is_refused_and_recorded() {
    let hub = hub();
    let script = format!(
        "import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\ns.connect('{}')\n\
         try:\n  s.send(b'slnsandb\\x01\\0\\0\\0')\n  print(len(s.recv(64)))\nexcept OSError:\n  print(0)",
        hub.sandbox_socket().display()
    );
    let run = |user: u32, group: u32| {
        let output =
            unprivileged(user, group).args(["/usr/bin/python3", "-c", &script]).output().expect("python3 runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    // In the core's group, so that the file's mode lets it pass: the kernel's word of who it is decides.
    assert_eq!(run(CORE_USER + 1, CORE_USER), (true, "0".to_owned()));
    assert!(!run(CORE_USER + 1, CORE_USER + 1).0, "for others the file is closed");
    assert_eq!(run(CORE_USER, CORE_USER), (true, "13".to_owned()), "the core's user is heard: a core is there already");
    let user = (CORE_USER + 1).to_string();
    let told = |line: &str| line.contains("refusal=\"peer\"") && line.contains(&user);
    wait::until("it is recorded", 5, || hub.sandbox_log().lines().any(told));
}

#[test]
fn i07_descriptors_that_nobody_asked_for_are_closed() {
    let hub = hub();
    let before = descriptors_of(hub.sandbox_pid());
    for number in [1_usize, 2, 64] {
        let (mut reader, writer) = pipe().expect("a pipe");
        let peer = connected(&hub.sandbox_socket()).expect("root connects to a development hub");
        let passed = vec![writer.as_raw_fd(); number];
        let beside = [ControlMessage::ScmRights(&passed)];
        sendmsg::<()>(peer.as_raw_fd(), &[IoSlice::new(HELLO)], &beside, MsgFlags::MSG_NOSIGNAL, None).expect("sent");
        drop(writer);
        assert!(is_closed(&peer), "{number}");
        assert_eq!(reader.read(&mut [0]).expect("a pipe"), 0, "every copy is closed");
    }
    wait::until("nothing of them is left open", 10, || descriptors_of(hub.sandbox_pid()) <= before);
}

#[test]
fn i09_a_thousand_connections_cost_the_core_nothing() {
    let hub = hub();
    let path = hub.sandbox_socket();
    let before = descriptors_of(hub.sandbox_pid());
    let open: Vec<_> = (0..1000).filter_map(|_| connected(&path).ok()).collect();
    assert!(open.len() > 100, "only {} were made", open.len());
    let _served = hub.install(&Package::probe("lamp", 8100));
    assert!(descriptors_of(hub.sandbox_pid()) < before + 64, "they are not kept");
    assert!(hub.sandbox_log().contains("refusal=\"connections\""));
    drop(open);
    let _gone = hub.client().delete("/modules/lamp").expect(204);
    wait::until("nothing of them is left open", 20, || descriptors_of(hub.sandbox_pid()) <= before);
}
