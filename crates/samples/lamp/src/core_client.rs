//! Calls from the module to the hub.

use std::fmt;
use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::http::Message;
use crate::log;

const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// Why a call brought no result. It never tells the token.
#[derive(Debug)]
pub(crate) enum CallError {
    Connection(io::Error),
    /// The status, or 0 for an answer that cannot be read.
    Refused(u16),
}

impl CallError {
    /// Whether the same call may succeed a little later.
    fn may_pass(&self) -> bool {
        !matches!(self, Self::Refused(status) if *status != 429 && *status < 500)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "connection to the hub: {error}"),
            Self::Refused(0) => write!(f, "the hub's answer cannot be read"),
            Self::Refused(status) => write!(f, "the hub answered {status}"),
        }
    }
}

impl std::error::Error for CallError {}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

/// The hub, as this module reaches it.
pub(crate) struct CoreClient {
    authority: String,
    base_path: String,
    token: String,
}

impl CoreClient {
    /// From `http://HOST:PORT/PATH`.
    pub(crate) fn new(url: &str, token: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or("SELENA_CORE_URL does not begin with http://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let base_path = format!("/{path}").trim_end_matches('/').to_owned();
        Ok(Self { authority: authority.to_owned(), base_path, token: token.to_owned() })
    }

    /// Calls again and again, with growing pauses, while the hub is away, busy or broken.
    pub(crate) fn call_until_answered(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, CallError> {
        let mut pause = FIRST_RETRY;
        loop {
            match self.call(method, path, body) {
                Err(error) if error.may_pass() => log(&format!("{method} {path}: {error}, again in {pause:?}")),
                outcome => return outcome,
            }
            back_off(pause);
            pause = (2 * pause).min(LAST_RETRY);
        }
    }

    /// One call; the body of an answer that tells success.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, CallError> {
        let mut stream = self.connect()?;
        stream.write_all(self.request(method, path, body).as_bytes())?;
        let answer =
            Message::read(&mut BufReader::new(stream))?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        match answer.word(1).parse().unwrap_or(0) {
            200..300 => serde_json::from_slice(&answer.body).map_err(|_| CallError::Refused(0)),
            status => Err(CallError::Refused(status)),
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        // A static program in an empty root has no files to look names up in; the hub is always on this host.
        let stream = TcpStream::connect(self.authority.replace("localhost", "127.0.0.1"))?;
        stream.set_read_timeout(Some(CALL_TIMEOUT))?;
        stream.set_write_timeout(Some(CALL_TIMEOUT))?;
        Ok(stream)
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> String {
        let Self { authority, base_path, token } = self;
        let body = body.map(Value::to_string).unwrap_or_default();
        let length = body.len();
        format!(
            "{method} {base_path}{path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    }
}

#[expect(clippy::disallowed_methods, reason = "a pause between two tries waits for nothing but time")]
fn back_off(pause: Duration) {
    thread::sleep(pause);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_below_the_hubs_path_with_the_token() {
        let core = CoreClient::new("http://localhost:7070/api/v1", "secret").unwrap();
        let request = core.request("GET", "/devices", None);
        assert!(request.starts_with("GET /api/v1/devices HTTP/1.1\r\nHost: localhost:7070\r\n"), "{request}");
        assert!(request.contains("\r\nAuthorization: Bearer secret\r\n"), "{request}");
    }

    #[test]
    fn tries_again_only_what_may_pass() {
        for (status, again) in
            [(0, false), (401, false), (409, false), (422, false), (429, true), (500, true), (503, true)]
        {
            assert_eq!(CallError::Refused(status).may_pass(), again, "{status}");
        }
    }
}
