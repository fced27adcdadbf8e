//! Series I against the core's end: a sandbox that breaks the rules.

use std::path::Path;

use selena_core::ports::{EngineState, Sandbox};
use tokio::net::UnixListener;

use super::soon;
use crate::{
    RemoteSandbox, codec, hello, listen,
    message::{Answer, Engine, ToCore, ToSandbox},
    packet::{MAX_PACKET_BYTES, PacketSocket},
};

fn listener(dir: &Path) -> UnixListener {
    listen(&dir.join("socket"), None).unwrap()
}

async fn accepted(listener: &UnixListener) -> PacketSocket {
    let (stream, _) = soon("a core connects", listener.accept()).await.unwrap();
    PacketSocket::new(stream).unwrap()
}

/// A core, and a sandbox after a good handshake.
async fn connected(dir: &Path) -> (RemoteSandbox, UnixListener, PacketSocket) {
    let listener = listener(dir);
    let core = RemoteSandbox::connect(dir.join("socket"));
    let peer = accepted(&listener).await;
    hello::welcome(&peer).await.unwrap();
    hello::answer(&peer, Ok(())).await.unwrap();
    send(&peer, &ToCore::Engine(Engine::Up)).await;
    super::is_up(&core).await;
    (core, listener, peer)
}

async fn send(peer: &PacketSocket, message: &ToCore) {
    peer.send(&codec::encode(message).unwrap(), &[]).await.unwrap();
}

async fn is_down(core: &RemoteSandbox, word: &str) {
    let mut engine = core.engine();
    let down = engine.wait_for(|state| matches!(state, EngineState::Down(why) if why.contains(word)));
    soon(word, down).await.unwrap();
}

#[tokio::test]
async fn i04_a_sandbox_of_another_version_is_told_to_people() {
    let dir = tempfile::tempdir().unwrap();
    let listener = listener(dir.path());
    let core = RemoteSandbox::connect(dir.path().join("socket"));
    let peer = accepted(&listener).await;
    soon("a handshake", peer.receive(&mut [0; 64])).await.unwrap();
    let packet = [b"slnsandb".as_slice(), &9_u32.to_le_bytes(), &[1]].concat();
    peer.send(&packet, &[]).await.unwrap();
    is_down(&core, "version 9").await;
    assert!(core.list().await.is_err(), "no call hangs");
}

#[tokio::test(start_paused = true)]
async fn i02_a_sandbox_that_says_nothing_is_left_after_ten_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let listener = listener(dir.path());
    let core = RemoteSandbox::connect(dir.path().join("socket"));
    let _peer = accepted(&listener).await;
    is_down(&core, "no handshake within 10 s").await;
}

#[tokio::test]
async fn i05_what_cannot_be_read_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let (core, listener, peer) = connected(dir.path()).await;
    peer.send(&[0xff; 32], &[]).await.unwrap();
    is_down(&core, "cannot be read").await;
    let _it_comes_again = accepted(&listener).await;
}

#[tokio::test]
async fn i10_an_answer_that_was_never_asked_for_is_ignored_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (core, _listener, peer) = connected(dir.path()).await;
    for id in [0, 77, u64::MAX] {
        send(&peer, &ToCore::Done { id, answer: Answer::Nothing }).await;
    }
    send(&peer, &ToCore::Engine(Engine::Unknown)).await;
    let mut engine = core.engine();
    soon("what came after them", engine.wait_for(|state| *state == EngineState::Unknown)).await.unwrap();
    assert_eq!(core.counts().stray_answers, 3);
    let asked = async { core.list().await };
    let answers = async {
        let mut buffer = vec![0; MAX_PACKET_BYTES];
        let (bytes, _) = peer.receive(&mut buffer).await.unwrap();
        let ToSandbox::Call { id, .. } = codec::decode(&buffer[..bytes]).unwrap() else { panic!("a call") };
        send(&peer, &ToCore::Done { id, answer: Answer::Listed(Vec::new()) }).await;
    };
    let (listed, ()) = soon("the connection works on", async { tokio::join!(asked, answers) }).await;
    assert_eq!(listed.unwrap(), []);
    assert_eq!(core.counts().connections, 1);
}

#[tokio::test]
async fn i07_a_socket_of_another_kind_is_not_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let (core, _listener, peer) = connected(dir.path()).await;
    let run = super::fake::run(1);
    let passed = [Vec::new(), vec![std::fs::File::open("/dev/null").unwrap().into()]];
    for descriptors in passed {
        let answers = async {
            let mut buffer = vec![0; MAX_PACKET_BYTES];
            let (bytes, _) = peer.receive(&mut buffer).await.unwrap();
            let ToSandbox::Call { id, .. } = codec::decode(&buffer[..bytes]).unwrap() else { panic!("a call") };
            let answer = ToCore::Done { id, answer: Answer::Socket };
            peer.send(&codec::encode(&answer).unwrap(), &descriptors).await.unwrap();
        };
        let (socket, ()) = soon("an answer", async { tokio::join!(core.socket(&run), answers) }).await;
        assert!(socket.unwrap_err().to_string().contains("does not answer"));
    }
}
