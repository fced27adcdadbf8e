//! Connecting, and reading what the sandbox sends.

use std::{os::fd::OwnedFd, sync::Arc, sync::atomic::Ordering, time::Duration};

use selena_core::ports::{EngineState, RunId};
use tokio::{sync::mpsc, time::sleep};

use super::{
    Shared,
    link::{Arrival, Link, Outcome, Outgoing},
    lock, port,
};
use crate::{
    big, codec,
    hello::{self, HelloError},
    message::{Answer, ToCore},
    packet::{MAX_PACKET_BYTES, PacketSocket},
    state,
};

/// The first pause before it is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A sandbox that comes back is found within this time (fault I08: 5 s).
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Why a connection ended, or was never there.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the sandbox's socket cannot be reached: is `selena-sandbox` running, and may this user connect?")]
    Connect(#[source] std::io::Error),
    #[error("the sandbox does not speak with this core")]
    Hello(#[from] HelloError),
    #[error("the sandbox closed the connection")]
    Closed,
    #[error("the sandbox closed the connection: {0}")]
    Bye(String),
    #[error("what the sandbox sent cannot be read: {0}")]
    Unreadable(String),
}

/// Keeps the core connected until the task is aborted.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let before = shared.connections.load(Ordering::Relaxed);
        let lost = connect(&shared).await;
        if let Some(link) = lock(&shared.link).take() {
            link.close();
        }
        let reason = chain(&lost);
        tracing::warn!(reason, "the sandbox does not answer");
        shared.set_engine(EngineState::Down(reason));
        if shared.connections.load(Ordering::Relaxed) > before {
            pause = FIRST_PAUSE;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", chain(cause)));
    format!("{error}{}", cause.unwrap_or_default())
}

/// One connection from its begin to its end.
async fn connect(shared: &Arc<Shared>) -> Lost {
    let socket = match PacketSocket::connect(&shared.path) {
        Ok(socket) => socket,
        Err(error) => return Lost::Connect(error),
    };
    if let Err(error) = hello::greet(&socket).await {
        return error.into();
    }
    shared.connections.fetch_add(1, Ordering::Relaxed);
    tracing::info!("the sandbox is connected");
    let (link, queue) = Link::new();
    *lock(&shared.link) = Some(Arc::new(link));
    // Before the engine is told to be up: what ran is over, and is started anew.
    shared.end_all();
    tokio::select! {
        lost = read(shared, &socket) => lost,
        () = write(&socket, queue) => Lost::Closed,
    }
}

async fn write(socket: &PacketSocket, mut queue: mpsc::Receiver<Outgoing>) {
    while let Some((packet, descriptors)) = queue.recv().await {
        if socket.send(&packet, &descriptors).await.is_err() {
            return;
        }
    }
}

async fn read(shared: &Arc<Shared>, socket: &PacketSocket) -> Lost {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    loop {
        let Ok((bytes, descriptors)) = socket.receive(&mut buffer).await else { return Lost::Closed };
        let message = match decode(buffer.get(..bytes).unwrap_or_default(), descriptors) {
            Ok(message) => message,
            Err(why) => return Lost::Unreadable(why),
        };
        match message {
            (ToCore::Done { id, answer }, descriptors) => arrived(shared, id, Ok((answer, descriptors))),
            (ToCore::Failed { id, failure }, _) => arrived(shared, id, Err(failure)),
            (ToCore::Devices(devices), _) => shared.set_devices(state::devices_from_wire(devices)),
            (ToCore::Engine(engine), _) => shared.set_engine(state::engine_from_wire(engine)),
            (ToCore::Exit { run, cause }, _) => shared.ended(state::exit_from_wire(run, cause)),
            (ToCore::Bye { reason }, _) => return Lost::Bye(reason),
            (ToCore::InFile { .. }, _) => return Lost::Unreadable("a file in a file".to_owned()),
        }
    }
}

/// A message, also one that came in a file.
fn decode(packet: &[u8], descriptors: Vec<OwnedFd>) -> Result<(ToCore, Vec<OwnedFd>), String> {
    let message = codec::decode(packet).map_err(|error| error.to_string())?;
    let ToCore::InFile { bytes } = message else { return Ok((message, descriptors)) };
    let file = descriptors.into_iter().next().ok_or("a message in a file came without it")?;
    let content = big::read(file, bytes, codec::MAX_FILE_BYTES).map_err(|error| error.to_string())?;
    Ok((codec::decode_file(&content).map_err(|error| error.to_string())?, Vec::new()))
}

fn arrived(shared: &Arc<Shared>, id: u64, outcome: Outcome) {
    if let Ok((Answer::Started { run, .. }, _)) = &outcome {
        shared.began(&RunId(run.clone()));
    }
    let Some(link) = lock(&shared.link).clone() else { return };
    match link.answered(id, outcome) {
        Arrival::Taken => {}
        Arrival::Stray => shared.stray(id),
        Arrival::Late(Ok((Answer::Started { run, .. }, _))) => {
            // It was started for somebody who went meanwhile.
            tokio::spawn(port::remove(shared.clone(), RunId(run)));
        }
        Arrival::Late(_) => {}
    }
}
