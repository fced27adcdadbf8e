//! What a trial adds to init: it answers the denied system calls of the module, counts them, and tells the hub.
//!
//! The hub gives a key with the environment, which the module never sees. A request `POST /boot/denied` that bears it
//! holds all counts so far; its answer comes when the hub wants to know again. So the hub always gets what is true when
//! it asks, a million calls make no more messages than one, and the connection is made before the module runs.
//!
//! A call that the module denies itself by a filter of its own does not come here: it has given that call up for good,
//! for itself and for all it starts. It cannot take the others over, since the kernel allows one such listener only.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use crate::{boot::HUB, listener::Listener, message::complain, signals::Signals, tally::Tally};

/// How long the hub may take to accept a message.
const PATIENCE: Duration = Duration::from_secs(1);
/// More than the head of any answer without a body.
const LARGEST_ANSWER_BYTES: usize = 4096;

/// The key that proves to the hub who sends the counts.
pub(crate) struct ReportKey(pub(crate) String);

/// Observes the module from before its start to its end.
pub(crate) struct Observer {
    listener: Listener,
    tally: Tally,
    key: ReportKey,
    hub: Option<Conversation>,
}

/// The connection on which the hub asks by answering.
struct Conversation {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Observer {
    /// Puts the filter in force. Without it the trial goes on, and the hub is told nothing: it takes that for unknown.
    pub(crate) fn begin(key: ReportKey) -> Option<Self> {
        match Listener::install() {
            Ok(listener) => {
                let mut observer = Self { listener, tally: Tally::new(), key, hub: None };
                observer.hub = observer.connect().inspect_err(unreported).ok();
                Some(observer)
            }
            Err(error) => {
                complain(format_args!("denied system calls cannot be observed: {error}"));
                None
            }
        }
    }

    fn connect(&self) -> io::Result<Conversation> {
        let mut stream = TcpStream::connect_timeout(&HUB, PATIENCE)?;
        self.tell(&mut stream, false)?;
        stream.set_nonblocking(true)?;
        Ok(Conversation { stream, answer: Vec::new() })
    }

    fn tell(&self, stream: &mut TcpStream, last: bool) -> io::Result<()> {
        let connection = if last { "close" } else { "keep-alive" };
        let (key, counts) = (&self.key.0, self.tally.lines());
        let request = format!(
            "POST /api/v1/boot/denied?last={last} HTTP/1.1\r\nHost: localhost:7070\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{counts}",
            counts.len()
        );
        stream.write_all(request.as_bytes())
    }

    /// Observes until a signal is there.
    pub(crate) fn observe(&mut self, signals: &Signals) -> io::Result<()> {
        loop {
            let hub = self.hub.as_ref().map(|hub| hub.stream.as_fd());
            let ready = signals.wait_with(self.listener.as_fd(), hub)?;
            if ready.first {
                self.answer_module()?;
            }
            if ready.second {
                self.answer_hub();
            }
            if ready.signal {
                return Ok(());
            }
        }
    }

    fn answer_module(&mut self) -> io::Result<()> {
        match self.listener.receive()? {
            Some(attempt) => self.listener.deny(attempt, self.tally.count(attempt.number, attempt.argument)),
            None => Ok(()),
        }
    }

    /// The hub's answer to the last message asks for the next.
    fn answer_hub(&mut self) {
        let Some(mut hub) = self.hub.take() else { return };
        let outcome = match hub.asks() {
            Ok(true) => self.tell(&mut hub.stream, false),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => self.hub = Some(hub),
            Err(error) => unreported(&error),
        }
    }

    /// Tells the last counts, when the module has ended, and waits until the hub has them.
    pub(crate) fn finish(mut self) {
        // The hub keeps the other connection's answer until it asks: this one says that there is no more.
        self.hub = None;
        if let Err(error) = self.tell_last() {
            unreported(&error);
        }
    }

    fn tell_last(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&HUB, PATIENCE)?;
        let deadline = Instant::now() + PATIENCE;
        stream.set_write_timeout(Some(PATIENCE))?;
        self.tell(&mut stream, true)?;
        let mut answer = Vec::new();
        let mut chunk = [0; 512];
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            stream.set_read_timeout(Some(left))?;
            let length = stream.read(&mut chunk)?;
            answer.extend_from_slice(chunk.get(..length).unwrap_or_default());
            if length == 0 || answer.len() > LARGEST_ANSWER_BYTES {
                return accepted(&answer).map(|_| ());
            }
        }
    }
}

impl Conversation {
    /// Reads what is there; whether the answer is whole.
    fn asks(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 512];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.answer.extend_from_slice(chunk.get(..length).unwrap_or_default());
                let whole = accepted(&self.answer)?;
                if whole {
                    self.answer.clear();
                }
                Ok(whole)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether an answer is whole; an error if it is not the one to a message that was taken, which has no body.
fn accepted(answer: &[u8]) -> io::Result<bool> {
    const TAKEN: &[u8] = b"HTTP/1.1 204";
    let length = answer.len().min(TAKEN.len());
    if answer.get(..length) != TAKEN.get(..length) || answer.len() > LARGEST_ANSWER_BYTES {
        return Err(io::Error::other("the hub refused it"));
    }
    Ok(answer.ends_with(b"\r\n\r\n"))
}

fn unreported(error: &io::Error) {
    complain(format_args!("telling the hub of denied system calls failed: {error}"));
}

#[cfg(test)]
mod tests {
    use super::accepted;

    #[test]
    fn only_no_content_is_taken_for_a_question() {
        assert!(accepted(b"HTTP/1.1 204 No Content\r\nx-request-id: 1\r\n\r\n").unwrap());
        for part in [&b""[..], b"HTTP/1", b"HTTP/1.1 204 No Content\r\nx-request"] {
            assert!(!accepted(part).unwrap(), "{part:?}");
        }
        for other in [&b"HTTP/1.1 403 Forbidden\r\n"[..], b"HTTP/1.1 429", b"HTTP/1.0", b"x"] {
            assert!(accepted(other).is_err(), "{other:?}");
        }
        assert!(accepted(&[&b"HTTP/1.1 204 "[..], &[b'x'; 5000]].concat()).is_err());
    }
}
