//! A small HTTP/1.1 that costs little beside what is measured: keep-alive, no pipelining, bodies by `Content-Length`.

use std::{net::Ipv4Addr, path::Path};

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

/// Most headers of a message.
const MAX_HEADERS: usize = 32;
/// Longest message; the list of 10,000 devices fits.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Messages of one direction of a connection, one at a time.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
}

/// How a head was understood, how long it is, and how long the body after it is.
pub(super) struct Head<T> {
    pub(super) meaning: T,
    pub(super) head_bytes: usize,
    pub(super) body_bytes: usize,
}

/// A whole message.
pub(super) struct Message<'a, T> {
    pub(super) meaning: T,
    pub(super) body: &'a [u8],
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(64 * 1024) }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).await.context("cannot write to the peer")
    }

    /// The next message, or `None` if the peer closed after the last one.
    pub(super) async fn message<T>(
        &mut self,
        parse: impl Fn(&[u8]) -> anyhow::Result<Option<Head<T>>>,
    ) -> anyhow::Result<Option<Message<'_, T>>> {
        self.buffer.clear();
        let head = loop {
            if self.stream.read_buf(&mut self.buffer).await.context("cannot read from the peer")? == 0 {
                ensure!(self.buffer.is_empty(), "the peer closed within a head");
                return Ok(None);
            }
            if let Some(head) = parse(&self.buffer)? {
                break head;
            }
        };
        let end = head.head_bytes + head.body_bytes;
        ensure!(end <= MAX_MESSAGE_BYTES, "a message of {end} bytes is longer than any expected");
        self.buffer.reserve(end.saturating_sub(self.buffer.len()));
        while self.buffer.len() < end {
            let read = self.stream.read_buf(&mut self.buffer).await.context("cannot read from the peer")?;
            ensure!(read > 0, "the peer closed within a body");
        }
        ensure!(self.buffer.len() == end, "bytes came after the end of a message");
        Ok(Some(Message { meaning: head.meaning, body: &self.buffer[head.head_bytes..] }))
    }
}

/// The length a message states; one in chunks is refused.
pub(super) fn content_length(headers: &[httparse::Header<'_>]) -> anyhow::Result<Option<usize>> {
    let mut length = None;
    for header in headers {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("a message in chunks: only bodies with their length are expected here");
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            ensure!(length.is_none(), "Content-Length is there twice");
            length = Some(std::str::from_utf8(header.value)?.parse().context("Content-Length is no number")?);
        }
    }
    Ok(length)
}

/// The status of an answer.
fn status(bytes: &[u8]) -> anyhow::Result<Option<Head<u16>>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = answer.parse(bytes).context("the answer is no HTTP")? else {
        return Ok(None);
    };
    let status = answer.code.context("an answer without a status")?;
    ensure!(status >= 200, "an interim answer {status} is not expected");
    let body_bytes = match content_length(answer.headers)? {
        Some(length) => length,
        None if matches!(status, 204 | 304) => 0,
        None => bail!("an answer {status} without Content-Length"),
    };
    Ok(Some(Head { meaning: status, head_bytes, body_bytes }))
}

/// A client's connection to a port of this machine, or to a socket.
#[derive(Debug)]
pub(super) struct Connection<S = TcpStream> {
    wire: Wire<S>,
    port: u16,
    request: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        let stream = stream.with_context(|| format!("cannot connect to port {port}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { wire: Wire::new(stream), port, request: Vec::with_capacity(4096) })
    }
}

impl Connection<UnixStream> {
    pub(super) async fn open_unix(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket).await;
        let stream = stream.with_context(|| format!("cannot connect to {}", socket.display()))?;
        // A socket has no port: what stands in `Host` is of no matter there.
        Ok(Self { wire: Wire::new(stream), port: 0, request: Vec::with_capacity(4096) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Asks, and gives the body of the answer, whose status has to be the expected one.
    pub(super) async fn ask(
        &mut self,
        (method, path): (&str, &str),
        token: &str,
        body: &[u8],
        expected: u16,
    ) -> anyhow::Result<&[u8]> {
        use std::io::Write as _;
        self.request.clear();
        let (port, length) = (self.port, body.len());
        write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nhost: localhost:{port}\r\nauthorization: Bearer {token}\r\n"
        )?;
        if !body.is_empty() {
            write!(self.request, "content-type: application/json\r\ncontent-length: {length}\r\n")?;
        }
        self.request.extend_from_slice(b"\r\n");
        self.request.extend_from_slice(body);
        self.wire.write(&self.request).await?;
        let answer = self.wire.message(status).await?.context("the peer closed instead of answering")?;
        let Message { meaning: status, body } = answer;
        ensure!(
            status == expected,
            "{method} {path} answered {status} instead of {expected}: {}",
            String::from_utf8_lossy(body.get(..300).unwrap_or(body))
        );
        Ok(body)
    }

    /// Sends a package, and gives the status and body of the answer.
    pub(super) async fn upload(&mut self, path: &str, token: &str, zip: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        let (port, length) = (self.port, zip.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost:{port}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/zip\r\ncontent-length: {length}\r\n\r\n"
        );
        self.wire.write(head.as_bytes()).await?;
        self.wire.write(zip).await?;
        let answer = self.wire.message(status).await?.context("the peer closed instead of answering")?;
        Ok((answer.meaning, answer.body))
    }

    /// `GET` that answers 200.
    pub(super) async fn get(&mut self, path: &str, token: &str) -> anyhow::Result<&[u8]> {
        self.ask(("GET", path), token, b"", 200).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// What comes of an answer that arrives in these pieces.
    async fn answer(pieces: &[&str]) -> Result<(u16, String), String> {
        let (mut server, client) = duplex(8);
        let pieces: Vec<_> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
        let writer = tokio::spawn(async move {
            for piece in pieces {
                server.write_all(piece.as_bytes()).await.unwrap();
            }
        });
        let mut wire = Wire::new(client);
        let message = wire.message(status).await.map_err(|error| error.to_string())?.ok_or("closed")?;
        let answer = (message.meaning, String::from_utf8(message.body.to_vec()).unwrap());
        writer.await.unwrap();
        Ok(answer)
    }

    #[tokio::test]
    async fn an_answer_may_come_in_pieces() {
        let whole = Ok((200, "hello".to_owned()));
        assert_eq!(answer(&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"]).await, whole);
        assert_eq!(answer(&["HTTP/1.1 200 O", "K\r\nContent-Length: 5\r", "\n\r\nhe", "llo"]).await, whole);
        assert_eq!(answer(&["HTTP/1.1 204 No Content\r\n\r\n"]).await, Ok((204, String::new())));
    }

    #[tokio::test]
    async fn what_is_no_answer_with_a_length_is_refused() {
        for (bad, why) in [
            ("HTTP/1.1 200 OK\r\n\r\n", "without Content-Length"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "in chunks"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx", "twice"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx", "within a body"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxy", "after the end"),
            ("HTTP/1.1 200", "within a head"),
            ("SSH-2.0-x\r\n\r\n", "no HTTP"),
            ("", "closed"),
        ] {
            let error = answer(&[bad]).await.expect_err(bad);
            assert!(error.contains(why), "{bad:?}: {error}");
        }
    }
}
