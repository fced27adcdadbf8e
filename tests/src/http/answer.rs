//! What a server answers.

use std::io::{self, BufRead, BufReader, Read};

use serde_json::Value;

use super::door::Stream;

const MAX_HEADERS: usize = 64;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header that is there once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The field `code` of an error.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// This answer, if it has that status.
    ///
    /// # Panics
    /// If it has another one; the message shows the body.
    #[track_caller]
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// This answer, if it is the error with that status and code.
    ///
    /// # Panics
    /// If it is another answer.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text());
        assert!(!self.json()["detail"].is_null(), "an error tells why: {}", self.text());
    }
}

/// Reads the head of an answer; gives it without a body, and the body that follows.
pub(crate) fn read_head(stream: Box<dyn Stream>) -> io::Result<(Answer, Box<dyn BufRead + Send>)> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, String::from_utf8_lossy(&head).into_owned()));
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    parsed.parse(&head).map_err(io::Error::other)?;
    let text = |header: &httparse::Header<'_>| {
        (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
    };
    let status = parsed.code.unwrap_or_default();
    let answer = Answer { status, headers: parsed.headers.iter().map(text).collect(), body: Vec::new() };
    let chunked = answer.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
    let length = answer.header("content-length").and_then(|length| length.parse().ok());
    let body: Box<dyn BufRead + Send> = match (chunked, length) {
        (true, _) => Box::new(BufReader::new(Chunks { inner: reader, left: 0, ended: false })),
        (false, Some(length)) => Box::new(reader.take(length)),
        (false, None) if status == 204 || status == 304 => Box::new(io::empty()),
        (false, None) => Box::new(reader),
    };
    Ok((answer, body))
}

/// A body in chunks.
struct Chunks<R> {
    inner: R,
    left: usize,
    ended: bool,
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            let mut line = String::new();
            self.inner.read_line(&mut line)?;
            if line == "\r\n" {
                line.clear();
                self.inner.read_line(&mut line)?;
            }
            self.left = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            self.ended = self.left == 0;
        }
        if self.ended {
            return Ok(0);
        }
        let most = into.len().min(self.left);
        let read = self.inner.read(&mut into[..most])?;
        self.left -= read;
        Ok(read)
    }
}

/// The data of server-sent events, one after the other.
pub struct Lines(pub(crate) Box<dyn BufRead + Send>);

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lines")
    }
}

impl Iterator for Lines {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        while self.0.read_line(&mut line).ok()? > 0 {
            if let Some(data) = line.strip_prefix("data:") {
                return serde_json::from_str(data.trim()).ok();
            }
            line.clear();
        }
        None
    }
}
