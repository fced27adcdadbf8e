//! The first contact with the hub: wait for its listener, fetch the environment once.

use std::{
    ffi::CString,
    fmt,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    environment::{self, EnvironmentError},
    observer::ReportKey,
    signals::Signals,
};

/// Where the hub's listener is placed in every module's network namespace (protocol, section 1).
pub(crate) const HUB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);
/// How long the hub may take for both the listener and its answer.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);
/// More than any environment the kernel would take for one program's start.
const LARGEST_ANSWER_BYTES: usize = 1024 * 1024;
/// Header with the key of a trial's reports.
const REPORT_KEY: &str = "selena-report-key";
const REQUEST: &[u8] = b"GET /boot HTTP/1.1\r\nHost: localhost:7070\r\nConnection: close\r\n\r\n";

/// Why there is no environment.
#[derive(Debug)]
pub(crate) enum BootError {
    /// The container is stopped before its module was started.
    Stopped(Signal),
    /// Nothing took a connection in time.
    NoListener(io::Error),
    /// The connection broke, or took too long.
    Connection(io::Error),
    /// The hub answered with this status line instead of the environment.
    Refused(String),
    /// The answer is no HTTP answer of a known length.
    Malformed(&'static str),
    /// The answer holds no environment.
    Environment(EnvironmentError),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = PATIENCE.as_secs();
        match self {
            Self::Stopped(signal) => write!(f, "stopped by {signal} before the module was started"),
            Self::NoListener(error) => write!(f, "the hub did not listen on {HUB} within {secs} s: {error}"),
            Self::Connection(error) => write!(f, "fetching the environment from the hub failed: {error}"),
            Self::Refused(status) => write!(f, "the hub refused the environment: {status}"),
            Self::Malformed(what) => write!(f, "the hub's answer with the environment is wrong: {what}"),
            Self::Environment(error) => write!(f, "the hub's environment is wrong: {error}"),
        }
    }
}

/// What the hub gives to a start.
pub(crate) struct Boot {
    /// The module's environment, `KEY=VALUE` each.
    pub(crate) environment: Vec<CString>,
    /// In a trial, the key of what this process tells the hub. The module never sees it.
    pub(crate) report_key: Option<ReportKey>,
}

/// Waits for the listener and fetches what the hub gives.
pub(crate) fn fetch(signals: &mut Signals) -> Result<Boot, BootError> {
    let deadline = Instant::now() + PATIENCE;
    let mut hub = connect(signals, deadline)?;
    hub.write_all(REQUEST).map_err(BootError::Connection)?;
    let answer = read_to_end(&mut hub, signals, deadline)?;
    let (report_key, body) = parts_of(&answer)?;
    let environment = environment::parse(body).map_err(BootError::Environment)?;
    Ok(Boot { environment, report_key })
}

fn connect(signals: &mut Signals, deadline: Instant) -> Result<TcpStream, BootError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let refusal = match TcpStream::connect_timeout(&HUB, left.max(FIRST_PAUSE)) {
            Ok(hub) => return Ok(hub),
            Err(refusal) => refusal,
        };
        if left.is_zero() {
            return Err(BootError::NoListener(refusal));
        }
        signals.wait_at_most(pause.min(left)).map_err(BootError::Connection)?;
        stop_if_told(signals)?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn read_to_end(hub: &mut TcpStream, signals: &mut Signals, deadline: Instant) -> Result<Vec<u8>, BootError> {
    hub.set_nonblocking(true).map_err(BootError::Connection)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match hub.read(&mut chunk) {
            Ok(0) => return Ok(answer),
            Ok(length) => answer.extend_from_slice(chunk.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(hub, signals, deadline)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BootError::Connection(error)),
        }
        if answer.len() > LARGEST_ANSWER_BYTES {
            return Err(BootError::Malformed("it is longer than 1 MiB"));
        }
    }
}

fn wait(hub: &TcpStream, signals: &mut Signals, deadline: Instant) -> Result<(), BootError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(BootError::Connection(io::ErrorKind::TimedOut.into()));
    }
    signals.wait_or_readable(hub, left).map_err(BootError::Connection)?;
    stop_if_told(signals)
}

fn stop_if_told(signals: &mut Signals) -> Result<(), BootError> {
    while let Some(signal) = signals.take().map_err(BootError::Connection)? {
        if matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT | Signal::SIGHUP) {
            return Err(BootError::Stopped(signal));
        }
    }
    Ok(())
}

/// The key, if there is one, and the body of an HTTP/1.1 answer with status 200 and a `Content-Length` that is true.
fn parts_of(answer: &[u8]) -> Result<(Option<ReportKey>, &[u8]), BootError> {
    let head_end =
        answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or(BootError::Malformed("its head has no end"))?;
    let (head, body) = answer.split_at(head_end);
    let body = body.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| BootError::Malformed("its head is no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !(status.starts_with("HTTP/1.1 200 ") || status == "HTTP/1.1 200") {
        return Err(BootError::Refused(status.chars().filter(|c| !c.is_control()).take(80).collect()));
    }
    let report_key = report_key(lines.clone());
    if content_length(lines)? == body.len() { Ok((report_key, body)) } else { Err(BootError::Malformed("it is cut")) }
}

fn report_key<'a>(mut headers: impl Iterator<Item = &'a str>) -> Option<ReportKey> {
    headers.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(REPORT_KEY).then(|| ReportKey(value.trim().to_owned()))
    })
}

fn content_length<'a>(headers: impl Iterator<Item = &'a str>) -> Result<usize, BootError> {
    let mut lengths = headers
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim().parse().ok());
    match (lengths.next(), lengths.next()) {
        (Some(Some(length)), None) => Ok(length),
        _ => Err(BootError::Malformed("it has no single Content-Length")),
    }
}

#[cfg(test)]
mod tests {
    use super::{BootError, parts_of};

    fn body_of(answer: &[u8]) -> Result<&[u8], BootError> {
        parts_of(answer).map(|(_, body)| body)
    }

    #[test]
    fn only_a_trial_has_a_key() {
        let key = |header: &str| {
            let answer = format!("HTTP/1.1 200 OK\r\n{header}content-length: 0\r\n\r\n");
            parts_of(answer.as_bytes()).unwrap().0.map(|key| key.0)
        };
        assert_eq!(key(""), None);
        assert_eq!(key("Selena-Report-Key: a_b-1\r\n").as_deref(), Some("a_b-1"));
    }

    #[test]
    fn the_body_of_a_good_answer_is_found() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-type: application/octet-stream\r\n\r\nA=1\0";
        assert_eq!(body_of(answer).unwrap(), b"A=1\0");
        assert_eq!(body_of(b"HTTP/1.1 200\r\nContent-Length:0\r\n\r\n").unwrap(), b"");
    }

    #[test]
    fn another_status_is_a_refusal() {
        for status in ["HTTP/1.1 410 Gone", "HTTP/1.1 2000 OK", "HTTP/1.0 200 OK", "", "\u{1b}[31mHTTP/1.1 200 OK"] {
            let answer = format!("{status}\r\nContent-Length: 0\r\n\r\n");
            assert!(matches!(body_of(answer.as_bytes()), Err(BootError::Refused(_))), "{status}");
        }
    }

    #[test]
    fn a_cut_or_endless_answer_is_malformed() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nA=1\0",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nA=1\0",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nA=1\0",
            "HTTP/1.1 200 OK\r\nContent-Length: 4",
            "",
        ] {
            assert!(matches!(body_of(answer.as_bytes()), Err(BootError::Malformed(_))), "{answer:?}");
        }
    }
}
