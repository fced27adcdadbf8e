//! Series I against the sandbox's end: a core that breaks the rules.

use std::{
    io::{PipeReader, Read, pipe},
    os::fd::OwnedFd,
};

use selena_core::ports::Sandbox;
use tokio::time::Instant;

use super::{House, closed, fake, next_answer, own_uid, send, soon};
use crate::{
    AllowedPeer, RemoteSandbox, codec,
    hello::{self, HelloError},
    message::{Answer, Call, Failure, ToCore, ToSandbox},
    packet::{MAX_PACKET_BYTES, PacketSocket},
    request,
};

fn list(id: u64) -> ToSandbox {
    ToSandbox::Call { id, limit_ms: 5_000, call: Call::List }
}

fn remove(id: u64) -> ToSandbox {
    ToSandbox::Call { id, limit_ms: 5_000, call: Call::Remove { run: fake::run(1).0 } }
}

/// A start of an image whose files come beside it, or should.
fn image_start(id: u64, has_root: bool) -> ToSandbox {
    let (mut spec, _) = request::spec_to_wire(&fake::spec("lamp")).unwrap();
    spec.command = crate::message::Command::Image {
        id: "1".to_owned(),
        argv: vec!["x".to_owned()],
        env: Vec::new(),
        working_dir: "/".to_owned(),
        has_root,
    };
    ToSandbox::Call { id, limit_ms: 5_000, call: Call::Start(spec) }
}

/// Descriptors of a pipe; the reader sees its end once all of them are closed.
fn descriptors(number: usize) -> (PipeReader, Vec<OwnedFd>) {
    let (reader, writer) = pipe().unwrap();
    let copies = (0..number).map(|_| OwnedFd::from(writer.try_clone().unwrap())).collect();
    (reader, copies)
}

/// Waits until every copy of the other end is closed: nothing of what was passed is left open anywhere.
async fn all_closed(mut reader: PipeReader) {
    let read = tokio::task::spawn_blocking(move || reader.read(&mut [0]).unwrap());
    assert_eq!(soon("the passed descriptors are closed", read).await.unwrap(), 0);
}

/// Sends as many descriptors as one likes: rustix' buffer is sized by the caller.
fn send_many(peer: &OwnedFd, packet: &[u8], passed: &[OwnedFd]) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::{io::IoSlice, mem::MaybeUninit, os::fd::AsFd};
    let passed: Vec<_> = passed.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    assert!(beside.push(SendAncillaryMessage::ScmRights(&passed)));
    sendmsg(peer, &[IoSlice::new(packet)], &mut beside, SendFlags::NOSIGNAL).unwrap();
}

#[tokio::test]
async fn i01_an_empty_packet_ends_the_connection() {
    let house = House::new();
    let peer = house.peer().await;
    peer.send(b"", &[]).await.unwrap();
    closed(&peer).await;
    assert!(house.core().await.list().await.is_ok(), "the next core is served");
}

#[tokio::test]
async fn i01_a_packet_of_one_byte_ends_the_connection() {
    let house = House::new();
    let peer = house.peer().await;
    peer.send(b"\0", &[]).await.unwrap();
    assert!(closed(&peer).await.unwrap().contains("cannot be read"));
}

#[tokio::test]
async fn i01_a_packet_that_is_too_long_ends_the_connection() {
    let house = House::new();
    let peer = house.peer().await;
    let (reader, mut passed) = descriptors(1);
    let mut packet = codec::encode(&list(1)).unwrap();
    packet.resize(MAX_PACKET_BYTES + 1, 0);
    peer.send(&packet, &passed).await.unwrap();
    passed.clear();
    assert!(closed(&peer).await.unwrap().contains("longer than"));
    all_closed(reader).await;
}

/// A length inside a packet says how long a text or a list is: 2³²−1, negative, and the largest of all.
#[tokio::test]
async fn i01_no_length_in_a_packet_makes_room_for_itself() {
    let house = House::new();
    for length in [u64::from(u32::MAX), u64::MAX, 1 << 62, MAX_PACKET_BYTES as u64] {
        let peer = house.peer().await;
        let call = ToSandbox::Call { id: 1, limit_ms: 1, call: Call::Purge { module: "lamp".to_owned() } };
        let mut packet = codec::encode(&call).unwrap();
        let at = packet.len() - "lamp".len() - 8;
        packet[at..at + 8].copy_from_slice(&length.to_le_bytes());
        peer.send(&packet, &[]).await.unwrap();
        assert!(closed(&peer).await.unwrap().contains("cannot be read"), "{length}");
    }
    assert!(house.sandbox.asked().is_empty());
}

/// A request that comes in halves, or a header without its body, cannot be: on `SOCK_SEQPACKET` a packet is whole or is
/// not there. What is left of this fault is a peer that connects and says nothing.
#[tokio::test(start_paused = true)]
async fn i02_a_peer_that_says_nothing_is_closed_after_ten_seconds() {
    let house = House::new();
    let begun = Instant::now();
    let peer = PacketSocket::connect(&house.path()).unwrap();
    assert!(peer.receive(&mut [0; 8]).await.is_err());
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn i04_an_older_and_a_newer_core_are_told_so() {
    let house = House::new();
    for version in [0_u32, 2, u32::MAX] {
        let peer = PacketSocket::connect(&house.path()).unwrap();
        // What a later version says besides is passed over.
        let packet = [b"slnsandb".as_slice(), &version.to_le_bytes(), b"and more"].concat();
        peer.send(&packet, &[]).await.unwrap();
        let mut answer = [0; 64];
        let (bytes, _) = soon("a verdict", peer.receive(&mut answer)).await.unwrap();
        assert_eq!(answer[..bytes], [b"slnsandb".as_slice(), &1_u32.to_le_bytes(), &[1]].concat(), "{version}");
        assert!(soon("the end", peer.receive(&mut answer)).await.is_err());
    }
}

#[tokio::test]
async fn i04_another_protocol_is_closed() {
    let house = House::new();
    for first in ["GET / HTTP/1.1\r\n\r\n", "slnsand", "slnsandb\x01"] {
        let peer = PacketSocket::connect(&house.path()).unwrap();
        peer.send(first.as_bytes(), &[]).await.unwrap();
        assert!(soon("the end", peer.receive(&mut [0; 64])).await.is_err(), "{first}");
    }
}

#[tokio::test]
async fn i04_an_unknown_message_ends_the_connection() {
    let house = House::new();
    let peer = house.peer().await;
    let mut packet = codec::encode(&list(1)).unwrap();
    packet[0] = 7;
    peer.send(&packet, &[]).await.unwrap();
    assert!(closed(&peer).await.unwrap().contains("cannot be read"));
}

#[tokio::test]
async fn i05_what_is_no_text_or_has_a_tail_ends_the_connection() {
    let house = House::new();
    let purge = ToSandbox::Call { id: 1, limit_ms: 1, call: Call::Purge { module: "lamp".to_owned() } };
    let mut no_text = codec::encode(&purge).unwrap();
    *no_text.last_mut().unwrap() = 0xff;
    let mut tail = codec::encode(&purge).unwrap();
    tail.push(0);
    for packet in [no_text, tail] {
        let peer = house.peer().await;
        peer.send(&packet, &[]).await.unwrap();
        assert!(closed(&peer).await.unwrap().contains("cannot be read"));
    }
    assert!(house.sandbox.asked().is_empty());
}

#[tokio::test]
async fn i05_what_is_no_name_or_no_run_is_refused_and_the_connection_stays() {
    let house = House::new();
    let peer = house.peer().await;
    let calls = [
        Call::Purge { module: "../etc".to_owned() },
        Call::Purge { module: "core".to_owned() },
        Call::PruneImages { module: "lamp".to_owned(), keep: vec!["latest".to_owned()] },
        Call::Remove { run: "portainer".to_owned() },
        Call::Stop { run: "A".repeat(64), grace_ms: 1 },
    ];
    for (id, call) in (1..).zip(calls) {
        send(&peer, &ToSandbox::Call { id, limit_ms: 1_000, call }, &[]).await;
        let (answer, _) = next_answer(&peer).await.unwrap();
        assert!(
            matches!(&answer, ToCore::Failed { id: of, failure: Failure::Refused { code, .. } }
                if *of == id && code == "malformed"),
            "{answer:?}"
        );
    }
    assert!(house.sandbox.asked().is_empty());
}

#[tokio::test]
async fn i06_only_the_cores_user_may_connect() {
    let house = House::of(AllowedPeer { uid: own_uid() + 1, root: false });
    let peer = PacketSocket::connect(&house.path()).unwrap();
    assert!(matches!(soon("the end", hello::greet(&peer)).await, Err(HelloError::Packet(_) | HelloError::Send(_))));
    assert_eq!(house.tally.peers(), 1);
}

#[tokio::test]
async fn i07_sixty_four_descriptors_are_closed_and_end_the_connection() {
    let house = House::new();
    let peer = PacketSocket::connect(&house.path()).unwrap();
    soon("a handshake", hello::greet(&peer)).await.unwrap();
    let (reader, passed) = descriptors(64);
    let raw = peer.try_clone().unwrap();
    send_many(&raw, &codec::encode(&list(1)).unwrap(), &passed);
    drop(passed);
    assert!(closed(&peer).await.unwrap().contains("descriptors"));
    all_closed(reader).await;
}

#[tokio::test]
async fn i07_a_descriptor_that_nobody_asked_for_is_closed_and_the_call_refused() {
    let house = House::new();
    let peer = house.peer().await;
    let (reader, passed) = descriptors(2);
    send(&peer, &remove(1), &passed).await;
    drop(passed);
    let (answer, _) = next_answer(&peer).await.unwrap();
    assert!(matches!(answer, ToCore::Failed { failure: Failure::Refused { code, .. }, .. } if code == "descriptors"));
    all_closed(reader).await;
    send(&peer, &remove(2), &[]).await;
    assert!(matches!(next_answer(&peer).await.unwrap(), (ToCore::Done { id: 2, answer: Answer::Nothing }, _)));
}

#[tokio::test]
async fn i07_no_descriptor_where_one_belongs_is_refused() {
    let house = House::new();
    let peer = house.peer().await;
    send(&peer, &image_start(1, true), &[]).await;
    let (answer, _) = next_answer(&peer).await.unwrap();
    assert!(matches!(answer, ToCore::Failed { failure: Failure::Refused { code, .. }, .. } if code == "descriptors"));
}

#[tokio::test]
async fn i07_a_descriptor_of_another_kind_is_closed_and_refused() {
    let house = House::new();
    let peer = house.peer().await;
    let (reader, passed) = descriptors(1);
    send(&peer, &image_start(1, true), &passed).await;
    drop(passed);
    let directory = std::fs::File::open("/").unwrap();
    let only_writable = std::fs::File::create(house.dir.path().join("file")).unwrap();
    send(&peer, &image_start(2, true), &[directory.into()]).await;
    send(&peer, &image_start(3, true), &[only_writable.into()]).await;
    for _ in 1..=3 {
        let (answer, _) = next_answer(&peer).await.unwrap();
        let refused = |code: &str| code == "descriptor_kind";
        assert!(
            matches!(&answer, ToCore::Failed { failure: Failure::Refused { code, .. }, .. } if refused(code)),
            "{answer:?}"
        );
    }
    all_closed(reader).await;
    assert!(house.sandbox.asked().is_empty());
}

#[tokio::test]
async fn i09_a_thousand_connections_are_a_few_and_the_core_is_served_all_the_same() {
    let house = House::new();
    let core = house.core().await;
    let mut open = Vec::new();
    for _ in 0..1000 {
        // The queue of those that wait to be accepted is short too.
        match PacketSocket::connect(&house.path()) {
            Ok(peer) => open.push(peer),
            Err(_full) => tokio::task::yield_now().await,
        }
    }
    assert!(core.list().await.is_ok(), "it is served beside them");
    let mut refused = 0;
    let mut kept = 0;
    for peer in &open {
        let mut byte = [0; 8];
        // Those that are over the limit are closed by now or in a moment; the others wait for a handshake.
        tokio::select! {
            biased;
            _closed = peer.receive(&mut byte) => refused += 1,
            listed = core.list() => {
                assert!(listed.is_ok());
                kept += 1;
            }
        }
        if kept > 15 {
            break;
        }
    }
    assert!(kept <= 15, "{kept} were kept");
    assert!(refused > 0 && house.tally.connections() >= refused, "{refused}");
    drop(open);
    assert!(core.list().await.is_ok());
}

#[tokio::test]
async fn one_core_is_connected_and_the_next_one_comes_when_it_goes() {
    let house = House::new();
    let first = house.core().await;
    let peer = PacketSocket::connect(&house.path()).unwrap();
    assert!(matches!(soon("a verdict", hello::greet(&peer)).await, Err(HelloError::Taken)));
    let second = RemoteSandbox::connect(house.path());
    assert!(second.list().await.is_err());
    drop(first);
    super::is_up(&second).await;
    assert!(second.list().await.is_ok());
}

#[tokio::test]
async fn a_number_that_is_used_twice_ends_the_connection() {
    let house = House::new();
    house.sandbox.starts.forget_permits(1000);
    let peer = house.peer().await;
    let (spec, _) = request::spec_to_wire(&fake::spec("lamp")).unwrap();
    send(&peer, &ToSandbox::Call { id: 5, limit_ms: 5_000, call: Call::Start(spec) }, &[]).await;
    send(&peer, &list(5), &[]).await;
    assert!(closed(&peer).await.unwrap().contains("under way"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_longer_than_its_limit_is_answered_and_undone() {
    let house = House::new();
    house.sandbox.starts.forget_permits(1000);
    let peer = house.peer().await;
    let (spec, _) = request::spec_to_wire(&fake::spec("lamp")).unwrap();
    send(&peer, &ToSandbox::Call { id: 1, limit_ms: 5_000, call: Call::Start(spec) }, &[]).await;
    house.sandbox.was_asked("start lamp").await;
    let (answer, _) = next_answer(&peer).await.unwrap();
    assert_eq!(answer, ToCore::Failed { id: 1, failure: Failure::Late });
    house.sandbox.starts.add_permits(1);
    house.sandbox.was_asked(&format!("remove {}", fake::run(1).0)).await;
}
