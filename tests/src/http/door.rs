//! Where a client connects.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use crate::namespace;

/// How long an answer may take: longer than any limit of the hub.
const PATIENCE: Duration = Duration::from_secs(100);

/// A way to a server.
#[derive(Clone, Debug)]
pub enum Door {
    /// A port of `127.0.0.1`.
    Port(u16),
    /// A Unix socket.
    Socket(PathBuf),
    /// A port of `127.0.0.1` in the network namespace of a process.
    Namespace {
        /// The process.
        pid: i64,
        /// The port.
        port: u16,
    },
}

/// A connection on which nothing more happens; closed when it is dropped.
#[derive(Debug)]
pub struct Held {
    _stream: Box<dyn Stream>,
}

/// A connection.
pub(crate) trait Stream: Read + Write + Send {
    /// Tells the other side that nothing more comes.
    fn end_writing(&self);
}

impl Stream for TcpStream {
    fn end_writing(&self) {
        let _gone_already = self.shutdown(Shutdown::Write);
    }
}

impl Stream for UnixStream {
    fn end_writing(&self) {
        let _gone_already = self.shutdown(Shutdown::Write);
    }
}

impl fmt::Debug for dyn Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Door {
    pub(crate) fn open(&self) -> io::Result<Box<dyn Stream>> {
        let tcp = |stream: TcpStream| -> io::Result<Box<dyn Stream>> {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(Box::new(stream))
        };
        match self {
            Self::Port(port) => tcp(TcpStream::connect((Ipv4Addr::LOCALHOST, *port))?),
            Self::Namespace { pid, port } => tcp(namespace::connect(*pid, *port)?),
            Self::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
        }
    }

    /// Sends bytes as they are, and keeps the connection until it is dropped; no answer is read.
    ///
    /// # Errors
    /// If there is no connection, or it does not take them all.
    pub fn send_and_hold(&self, bytes: &[u8]) -> io::Result<Held> {
        let mut stream = self.open()?;
        stream.write_all(bytes)?;
        Ok(Held { _stream: stream })
    }

    /// Sends bytes as they are, and gives all that comes back until the other side closes.
    ///
    /// # Errors
    /// If there is no connection.
    pub fn send_raw(&self, bytes: &[u8]) -> io::Result<String> {
        self.exchange(bytes, false)
    }

    /// As [`Door::send_raw`], but tells the other side that nothing more comes, as a client does whose cable is cut.
    ///
    /// # Errors
    /// If there is no connection.
    pub fn send_cut(&self, bytes: &[u8]) -> io::Result<String> {
        self.exchange(bytes, true)
    }

    fn exchange(&self, bytes: &[u8], cut: bool) -> io::Result<String> {
        let mut stream = self.open()?;
        let _refused_before_the_end = stream.write_all(bytes);
        if cut {
            stream.end_writing();
        }
        let mut answer = Vec::new();
        let _cut_after_the_answer = stream.read_to_end(&mut answer);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
