//! The handshake: who speaks, and in which version. Its form is the same in all versions.
//!
//! Each side sends one packet: eight bytes that say which protocol this is, the version as u32 little-endian, and from
//! the sandbox one byte more, its verdict. What follows belongs to later versions and is passed over.

use std::{io, time::Duration};

use tokio::time::timeout;

use crate::packet::{PacketError, PacketSocket};

/// Version of the messages. Both sides are of one build; an update replaces both, and for a moment they may differ.
pub const VERSION: u32 = 1;
/// How long either side may take.
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

const MAGIC: &[u8; 8] = b"slnsandb";
const VERSION_END: usize = MAGIC.len() + 4;
/// Longest packet of a handshake.
const MAX_BYTES: usize = 512;

/// Why a sandbox does not speak with a core. Its number on the wire never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It speaks another version.
    Version,
    /// Another core is connected.
    Taken,
}

/// What a sandbox says of a core.
pub(crate) type Verdict = Result<(), Rejection>;

/// Why there was no handshake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("the peer speaks version {theirs} of the protocol, this program version {VERSION}: update both")]
    Version { theirs: u32 },
    #[error("another core is connected to the sandbox")]
    Taken,
    #[error("the peer speaks another protocol")]
    Foreign,
    #[error("no handshake within {} s", HANDSHAKE_LIMIT.as_secs())]
    Silent,
    #[error("no handshake")]
    Packet(#[from] PacketError),
    #[error("the handshake could not be sent")]
    Send(#[from] io::Error),
}

fn head() -> Vec<u8> {
    [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat()
}

/// The version in a handshake, and what follows it.
fn parse(packet: &[u8]) -> Result<(u32, &[u8]), HelloError> {
    let version = packet.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk()).ok_or(HelloError::Foreign)?;
    Ok((u32::from_le_bytes(*version), packet.get(VERSION_END..).unwrap_or_default()))
}

async fn hear(socket: &PacketSocket, buffer: &mut [u8; MAX_BYTES]) -> Result<usize, HelloError> {
    let (bytes, descriptors) =
        timeout(HANDSHAKE_LIMIT, socket.receive(buffer)).await.map_err(|_| HelloError::Silent)??;
    // Nothing may come beside it.
    if descriptors.is_empty() { Ok(bytes) } else { Err(HelloError::Foreign) }
}

/// The core's half.
pub(crate) async fn greet(socket: &PacketSocket) -> Result<(), HelloError> {
    socket.send(&head(), &[]).await?;
    let mut buffer = [0; MAX_BYTES];
    let bytes = hear(socket, &mut buffer).await?;
    let (theirs, rest) = parse(buffer.get(..bytes).unwrap_or_default())?;
    match rest.first() {
        Some(0) if theirs == VERSION => Ok(()),
        Some(2) if theirs == VERSION => Err(HelloError::Taken),
        _ if theirs != VERSION => Err(HelloError::Version { theirs }),
        _ => Err(HelloError::Foreign),
    }
}

/// The sandbox's half: hears a core. One of another version is told so.
pub(crate) async fn welcome(socket: &PacketSocket) -> Result<(), HelloError> {
    let mut buffer = [0; MAX_BYTES];
    let bytes = hear(socket, &mut buffer).await?;
    let (theirs, _later) = parse(buffer.get(..bytes).unwrap_or_default())?;
    if theirs == VERSION {
        return Ok(());
    }
    answer(socket, Err(Rejection::Version)).await?;
    Err(HelloError::Version { theirs })
}

/// Tells a core whether it is spoken with.
pub(crate) async fn answer(socket: &PacketSocket, verdict: Verdict) -> Result<(), HelloError> {
    let mut packet = head();
    packet.push(match verdict {
        Ok(()) => 0,
        Err(Rejection::Version) => 1,
        Err(Rejection::Taken) => 2,
    });
    timeout(HANDSHAKE_LIMIT, socket.send(&packet, &[])).await.map_err(|_| HelloError::Silent)?.map_err(HelloError::Send)
}
