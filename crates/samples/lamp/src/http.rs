//! As much of HTTP/1.1 as a module needs: messages with a length, on connections that stay open.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::lamp::Lamp;
use crate::log;

const MAX_HEAD_BYTES: u64 = 16 * 1024;
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
const IDLE: Duration = Duration::from_secs(120);

/// A request or an answer as it stands on the wire.
pub(crate) struct Message {
    first_line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// Word `n` of the first line: method and path of a request, or after the version the status of an answer.
    pub(crate) fn word(&self, n: usize) -> &str {
        self.first_line.split(' ').nth(n).unwrap_or_default()
    }

    /// The next message of a connection; `None` if the other side has closed it.
    pub(crate) fn read(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = stream.by_ref().take(MAX_HEAD_BYTES);
        let first_line = read_line(&mut head)?;
        if first_line.is_empty() {
            return Ok(None);
        }
        let mut message = Self { first_line, headers: Vec::new(), body: Vec::new() };
        loop {
            let line = read_line(&mut head)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid("a header without a colon"))?;
            message.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        message.body = vec![0; message.body_length()?];
        stream.read_exact(&mut message.body)?;
        Ok(Some(message))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn body_length(&self) -> io::Result<usize> {
        if self.header("transfer-encoding").is_some() {
            return Err(invalid("a body without a length"));
        }
        let length = self.header("content-length").unwrap_or("0").parse();
        length.ok().filter(|length| *length <= MAX_BODY_BYTES).ok_or_else(|| invalid("a length that cannot be"))
    }
}

/// One line without its end; empty at the end of the stream.
fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line)?;
    if read > 0 && !line.ends_with('\n') {
        return Err(invalid("a head that is cut or too long"));
    }
    Ok(line.trim_end().to_owned())
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Status and JSON body, in one write so that they leave together.
fn write_answer(mut stream: &TcpStream, status: u16, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} \r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes())
}

/// Serves for ever. Only the hub reaches this address: a thread for each of its few connections will do.
pub(crate) fn serve(listener: &TcpListener, lamp: &Arc<Lamp>) {
    for stream in listener.incoming() {
        let lamp = Arc::clone(lamp);
        thread::spawn(move || {
            if let Err(error) = stream.and_then(|stream| converse(&stream, &lamp)) {
                log(&format!("connection: {error}"));
            }
        });
    }
}

fn converse(stream: &TcpStream, lamp: &Lamp) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream);
    // The wait for the next request ends by time or by the hub; neither is worth a line in the log.
    while !reader.fill_buf().unwrap_or_default().is_empty() {
        let Some(message) = Message::read(&mut reader)? else { break };
        let (status, body) = lamp.answer(&message);
        write_answer(stream, status, body)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wire: &str, body: Option<&str>) {
        let message = Message::read(&mut wire.as_bytes()).ok().flatten();
        assert_eq!(message.map(|message| message.body), body.map(|body| body.as_bytes().to_vec()), "{wire:?}");
    }

    #[test]
    fn reads_messages_with_a_length() {
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(""));
        check("POST / HTTP/1.1\r\ncontent-LENGTH: 2\r\n\r\nok and more", Some("ok"));
    }

    #[test]
    fn refuses_what_it_cannot_delimit() {
        check("", None);
        check("GET / HTTP/1.1", None);
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nok", None);
        check("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", None);
        check("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", None);
        check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None);
        check(&format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(20_000)), None);
    }
}
