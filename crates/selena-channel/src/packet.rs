//! Packets with descriptors on a Unix socket of type `SOCK_SEQPACKET`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    cmsg_space,
    net::{
        self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
    },
};
use tokio::{io::Interest, net::UnixStream};

/// Longest packet in bytes. A longer one ends the connection; nothing is ever allocated by a length that was sent.
pub const MAX_PACKET_BYTES: usize = 256 * 1024;
/// Most descriptors beside a packet: a start hands over two listeners.
pub(crate) const MAX_DESCRIPTORS: usize = 2;

/// Why there is no packet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PacketError {
    /// The peer is gone, or sent an empty packet, which looks the same.
    #[error("the connection was closed, or an empty packet came")]
    Closed,
    /// It was longer than [`MAX_PACKET_BYTES`]; the rest of it is lost.
    #[error("a packet is longer than {0} bytes")]
    TooLong(usize),
    /// More came beside it than [`MAX_DESCRIPTORS`]; all of them are closed.
    #[error("more than {MAX_DESCRIPTORS} descriptors came with a packet")]
    TooManyDescriptors,
    /// The socket failed.
    #[error("the socket failed")]
    Io(#[from] io::Error),
}

/// A connected socket. Packets may be sent and received at the same time.
///
/// Inside is tokio's stream socket: of that it needs only when the socket is ready, which is the same for both types.
#[derive(Debug)]
pub(crate) struct PacketSocket(UnixStream);

impl PacketSocket {
    /// Connects; non-blocking before tokio sees it.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Self::new(UnixStream::from_std(socket.into())?)
    }

    /// Another descriptor of it, for tests that break the rules.
    #[cfg(test)]
    pub(crate) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }

    /// A connection that was accepted.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        // The default may be less than one packet; the kernel doubles what is asked for, and gives no error for less.
        sockopt::set_socket_send_buffer_size(&stream, MAX_PACKET_BYTES)?;
        Ok(Self(stream))
    }

    /// Receives one packet into the buffer; its length, and what came beside it.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), PacketError> {
        let most = buffer.len();
        let (bytes, flags, descriptors) = self.0.async_io(Interest::READABLE, || receive(&self.0, buffer)).await?;
        // Whatever came beside a packet that is refused is closed when `descriptors` is dropped.
        if flags.contains(ReturnFlags::TRUNC) {
            return Err(PacketError::TooLong(most));
        }
        if flags.contains(ReturnFlags::CTRUNC) {
            return Err(PacketError::TooManyDescriptors);
        }
        if bytes == 0 { Err(PacketError::Closed) } else { Ok((bytes, descriptors)) }
    }

    /// Sends one packet of 1 to [`MAX_PACKET_BYTES`] bytes with at most [`MAX_DESCRIPTORS`] descriptors.
    pub(crate) async fn send(&self, packet: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
        self.0.async_io(Interest::WRITABLE, || send(&self.0, packet, descriptors)).await
    }
}

fn receive(socket: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, ReturnFlags, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(buffer)];
    let received = net::recvmsg(socket.as_fd(), &mut into, &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    Ok((received.bytes, received.flags, descriptors))
}

fn send(socket: &UnixStream, packet: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
    let passed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !passed.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(&passed)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one packet"));
    }
    net::sendmsg(socket.as_fd(), &[IoSlice::new(packet)], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}
