//! One connected core: what it sends is read, answers and news are written, in the order they come.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use selena_core::ports::{ContainerExit, Sandbox};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::calls::{Calls, Desk};
use crate::{
    big, codec,
    message::{ToCore, ToSandbox},
    packet::{MAX_PACKET_BYTES, PacketError, PacketSocket},
    state,
};

/// Answers that wait to be written; whoever has one waits until there is room.
const OUTGOING: usize = 64;
/// A core that takes nothing for so long is none any more.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// A message on its way to the core.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) message: ToCore,
    pub(super) descriptors: Vec<OwnedFd>,
    /// Told once it was written; dropped if it never is.
    pub(super) written: Option<oneshot::Sender<()>>,
}

impl From<ToCore> for Outgoing {
    fn from(message: ToCore) -> Self {
        Self { message, descriptors: Vec::new(), written: None }
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub(super) struct Session {
    socket: Arc<PacketSocket>,
    desk: Desk,
    outgoing: mpsc::Sender<Outgoing>,
    queue: mpsc::Receiver<Outgoing>,
}

impl Session {
    pub(super) fn new(socket: Arc<PacketSocket>, calls: Arc<Calls>) -> Self {
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        Self { socket, desk: Desk::new(calls, outgoing.clone()), outgoing, queue }
    }

    /// Serves the core until it goes or breaks the rules.
    pub(super) async fn run(self, sandbox: &dyn Sandbox, exits: &mut mpsc::UnboundedReceiver<ContainerExit>) {
        let Self { socket, desk, outgoing, queue } = self;
        let reason = tokio::select! {
            reason = read(&socket, &desk) => reason,
            reason = write(&socket, queue) => reason,
            reason = tell(sandbox, exits, &outgoing) => reason,
        };
        // Nobody waits for the answers any more; what must not be left half-done goes on.
        drop(desk);
        if let Some(reason) = reason {
            tracing::warn!(refusal = "protocol", reason, "the core's connection is closed");
            let bye = codec::encode(&ToCore::Bye { reason }).unwrap_or_default();
            let _it_may_be_gone = timeout(WRITE_LIMIT, socket.send(&bye, &[])).await;
        }
    }
}

/// Reads until the end; tells what was wrong.
async fn read(socket: &PacketSocket, desk: &Desk) -> Option<String> {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    loop {
        let (bytes, descriptors) = match socket.receive(&mut buffer).await {
            Ok(received) => received,
            Err(PacketError::Closed | PacketError::Io(_)) => return None,
            Err(error) => return Some(error.to_string()),
        };
        match codec::decode(buffer.get(..bytes).unwrap_or_default()) {
            Ok(ToSandbox::Call { id, limit_ms, call }) => {
                if !desk.take(id, Duration::from_millis(limit_ms), call, descriptors) {
                    return Some(format!("call {id} is under way already"));
                }
            }
            Ok(ToSandbox::Cancel { .. }) if !descriptors.is_empty() => {
                return Some("descriptors came with a cancellation".to_owned());
            }
            Ok(ToSandbox::Cancel { id }) => desk.cancel(id),
            Err(error) => return Some(format!("a packet cannot be read: {error}")),
        }
    }
}

/// Writes what is queued; ends if the core takes nothing.
async fn write(socket: &PacketSocket, mut queue: mpsc::Receiver<Outgoing>) -> Option<String> {
    while let Some(Outgoing { message, descriptors, written }) = queue.recv().await {
        let (packet, descriptors) = match packed(&message, descriptors) {
            Ok(packed) => packed,
            Err(error) => {
                tracing::error!(error = &*error, "a message for the core is lost");
                continue;
            }
        };
        match timeout(WRITE_LIMIT, socket.send(&packet, &descriptors)).await {
            Ok(Ok(())) => {}
            Ok(Err(_gone)) => return None,
            Err(_late) => return Some(format!("it took nothing for {} s", WRITE_LIMIT.as_secs())),
        }
        if let Some(written) = written {
            let _nobody_waits = written.send(());
        }
    }
    None
}

type Packed = (Vec<u8>, Vec<OwnedFd>);

/// A message as a packet; one that is too long for that is put into a file.
fn packed(message: &ToCore, descriptors: Vec<OwnedFd>) -> Result<Packed, Box<dyn std::error::Error + Send + Sync>> {
    let encoded = codec::encode(message)?;
    if encoded.len() <= MAX_PACKET_BYTES {
        return Ok((encoded, descriptors));
    }
    let file = big::in_file(&encoded)?;
    let bytes = u64::try_from(encoded.len())?;
    Ok((codec::encode(&ToCore::InFile { bytes })?, vec![file]))
}

/// Tells what is plugged in, whether the engine answers, and which runs end: at the begin, and at each change.
async fn tell(
    sandbox: &dyn Sandbox,
    exits: &mut mpsc::UnboundedReceiver<ContainerExit>,
    outgoing: &mpsc::Sender<Outgoing>,
) -> Option<String> {
    let (mut devices, mut engine) = (sandbox.devices(), sandbox.engine());
    // The devices first: as soon as the engine answers, modules are started, and get what is there.
    devices.mark_changed();
    engine.mark_changed();
    loop {
        let news = tokio::select! {
            biased;
            Ok(()) = devices.changed() => state::devices_to_wire(&devices.borrow_and_update()),
            Ok(()) = engine.changed() => state::engine_to_wire(&engine.borrow_and_update()),
            Some(exit) = exits.recv() => state::exit_to_wire(exit),
            else => return Some("the sandbox ends".to_owned()),
        };
        outgoing.send(news.into()).await.ok()?;
    }
}
