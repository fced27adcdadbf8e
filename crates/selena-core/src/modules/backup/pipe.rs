//! Between async streams and work that blocks: a few pieces are in memory, and the slower side holds up the other.

use std::io::{self, BufRead, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

/// How many pieces may wait.
pub(super) const PIECES: usize = 4;
/// Size of a piece that is sent, in bytes.
const PIECE_BYTES: usize = 128 * 1024;

/// Sends what is written to it.
pub(super) struct PipeWriter {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
    cancel: CancellationToken,
    runtime: Handle,
}

impl PipeWriter {
    pub(super) fn new(pieces: mpsc::Sender<io::Result<Bytes>>, cancel: CancellationToken, runtime: Handle) -> Self {
        Self { pieces, piece: BytesMut::with_capacity(PIECE_BYTES), cancel, runtime }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = self.piece.split().freeze();
        self.piece.reserve(PIECE_BYTES);
        let sent = self.runtime.block_on(async {
            tokio::select! {
                () = self.cancel.cancelled() => Err(io::ErrorKind::Interrupted),
                sent = self.pieces.send(Ok(piece)) => sent.map_err(|_| io::ErrorKind::BrokenPipe),
            }
        });
        // `Interrupted` would be tried again by others.
        sent.map_err(|kind| match kind {
            io::ErrorKind::Interrupted => io::Error::other("it was cancelled"),
            kind => kind.into(),
        })
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.send() }
    }
}

/// Reads what is sent.
pub(super) struct PipeReader {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
    cancel: CancellationToken,
    runtime: Handle,
}

impl PipeReader {
    pub(super) fn new(pieces: mpsc::Receiver<Bytes>, cancel: CancellationToken, runtime: Handle) -> Self {
        Self { pieces, piece: Bytes::new(), cancel, runtime }
    }
}

impl BufRead for PipeReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            let next = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = self.cancel.cancelled() => Err(io::Error::other("it was cancelled")),
                    next = self.pieces.recv() => Ok(next),
                }
            });
            match next? {
                Some(piece) => self.piece = piece,
                None => break,
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, bytes: usize) {
        self.piece.advance(bytes);
    }
}

impl Read for PipeReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(into.len());
        into[..taken].copy_from_slice(&available[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}
