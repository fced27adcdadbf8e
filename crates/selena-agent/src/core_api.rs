//! The two reports to the core: a small HTTP/1.1, so that a fault in the core's HTTP is none here.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use secrecy::ExposeSecret;
use selena_runtime::agent_secret;
use serde_json::{Value, json};

use crate::report::{MAX_LISTED, Report};

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Longest head of an answer that is read.
const MAX_ANSWER_BYTES: u64 = 16 * 1024;

/// The core's API on this machine.
#[derive(Clone, Debug)]
pub(crate) struct CoreApi {
    address: SocketAddr,
    host: String,
    secure_dir: PathBuf,
}

/// Why a report did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    /// Nothing answers there.
    #[error("the core does not answer at {address}")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// It answers something else than 200.
    #[error("the core answered `{0}`")]
    Refused(String),
    /// The agent cannot prove itself.
    #[error("there is no secret to prove the agent with")]
    NoSecret(#[source] agent_secret::AgentSecretError),
}

impl CoreApi {
    /// The core at a URL such as `http://127.0.0.1:7070`: loopback only, since the secret is sent in clear.
    ///
    /// # Errors
    /// If it is no such URL.
    pub(crate) fn new(url: &str, secure_dir: PathBuf) -> anyhow::Result<Self> {
        let told = || format!("--core-url {url}: it must be like http://127.0.0.1:7070, on this machine");
        let host = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')).with_context(told)?;
        // The base of the API, as modules are given it, names the same core.
        let host = host.strip_suffix("/api/v1").unwrap_or(host);
        ensure!(!host.contains(['/', '@', '?', '#', ' ', '\r', '\n']), told());
        let with_port = if host.rsplit(']').next().is_some_and(|end| end.contains(':')) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let name = with_port.rsplit_once(':').map_or("", |(name, _)| name);
        if name != "localhost" && name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_err() {
            bail!(told());
        }
        let address =
            with_port.to_socket_addrs().with_context(told)?.find(|it| it.ip().is_loopback()).with_context(told)?;
        Ok(Self { address, host: host.to_owned(), secure_dir })
    }

    /// Tells of a violation: the core goes into SAFE MODE at once.
    ///
    /// # Errors
    /// [`ReportError`].
    pub(crate) fn violation(&self, report: &Report) -> Result<(), ReportError> {
        let listed = &report.violations[..report.violations.len().min(MAX_LISTED)];
        self.post("violation", &json!({ "status": report.status, "violations": listed }))
    }

    /// Tells what was restored.
    ///
    /// # Errors
    /// [`ReportError`].
    pub(crate) fn restored(&self, files: &[String]) -> Result<(), ReportError> {
        self.post("restored", &json!({ "files": &files[..files.len().min(MAX_LISTED)] }))
    }

    fn post(&self, report: &str, body: &Value) -> Result<(), ReportError> {
        let secret = agent_secret::read_or_create(&self.secure_dir).map_err(ReportError::NoSecret)?;
        let status = self.send(report, body, secret.expose_secret());
        let status = status.map_err(|source| ReportError::Unreachable { address: self.address, source })?;
        if status.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(ReportError::Refused(status)) }
    }

    fn send(&self, report: &str, body: &Value, secret: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        let (host, body) = (&self.host, body.to_string());
        let request = format!(
            "POST /api/v1/integrity/{report} HTTP/1.1\r\nHost: {host}\r\nX-Agent-Secret: {secret}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        status_line(stream)
    }
}

/// The first line of an answer; the rest is not needed.
fn status_line(stream: impl Read) -> io::Result<String> {
    let mut stream = stream.take(MAX_ANSWER_BYTES);
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
    if line.starts_with("HTTP/1.") { Ok(line) } else { Err(io::Error::other("what answers there speaks no HTTP")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_told() {
        for good in
            ["http://127.0.0.1:7070", "http://localhost:7070/", "http://localhost:7070/api/v1", "http://[::1]:7070"]
        {
            CoreApi::new(good, PathBuf::new()).expect(good);
        }
        for bad in [
            "https://127.0.0.1:7070",
            "http://192.0.2.1:7070",
            "http://example.invalid:80",
            "http://127.0.0.1:7070/other",
            "http://a@127.0.0.1:7070",
            "http://127.0.0.1:x",
            "127.0.0.1:7070",
            "",
        ] {
            let error = CoreApi::new(bad, PathBuf::new()).expect_err(bad);
            assert!(format!("{error:#}").contains("on this machine"), "{bad}: {error:#}");
        }
    }

    #[test]
    fn the_status_is_read_and_nothing_endless() {
        assert_eq!(status_line(&b"HTTP/1.1 200 OK\r\nx: y\r\n"[..]).expect("read"), "HTTP/1.1 200 OK");
        assert!(status_line(&b""[..]).is_err() && status_line(&b"SSH-2.0\n"[..]).is_err());
        assert!(status_line(io::repeat(b'H')).is_err());
    }
}
