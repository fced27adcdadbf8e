//! Asking the hub and the module over TCP on this machine.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    Request, StatusCode,
    client::conn::http1,
    header::{AUTHORIZATION, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{MissedTickBehavior, interval, timeout},
};

/// How long an answer may take, as the hub gives a module for `/health`.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a module that has just been started is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Where a development hub listens.
#[derive(Debug)]
pub(super) struct HubUrl {
    host: &'static str,
    pub(super) port: u16,
}

impl HubUrl {
    /// Reads plain `http` to this machine, with or without the path of the API, so that the token goes nowhere else.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let must = "must be http://localhost:PORT: a development hub is on this machine";
        let rest = text.strip_prefix("http://").ok_or(must)?;
        let rest = rest.trim_end_matches('/');
        let (host, port) = rest.strip_suffix("/api/v1").unwrap_or(rest).split_once(':').ok_or(must)?;
        let host = ["localhost", "127.0.0.1"].into_iter().find(|known| *known == host).ok_or(must)?;
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0).ok_or(must)?;
        Ok(Self { host, port })
    }

    /// The base of the API, as the environment of a module has it.
    pub(super) fn api(&self) -> String {
        format!("http://{}:{}/api/v1", self.host, self.port)
    }

    /// The status of an answer to somebody with this token; `None` if there is no hub.
    pub(super) async fn status(&self, path: &str, token: &str) -> Option<StatusCode> {
        status(self.port, &format!("/api/v1{path}"), Some(token)).await
    }
}

/// Waits until the module on this port answers `GET /health` with 200.
pub(super) async fn healthy(port: u16) {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if status(port, "/health", None).await == Some(StatusCode::OK) {
            return;
        }
    }
}

async fn status(port: u16, path: &str, token: Option<&str>) -> Option<StatusCode> {
    timeout(PATIENCE, ask(port, path, token)).await.ok()?
}

async fn ask(port: u16, path: &str, token: Option<&str>) -> Option<StatusCode> {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let mut request = Request::get(path).header(HOST, format!("localhost:{port}"));
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Empty::<Bytes>::new()).ok()?;
    let answer = async move { sender.send_request(request).await.ok().map(|answer| answer.status()) };
    // The connection ends when the sender is dropped, which is when the head of the answer is there.
    let (answer, _) = tokio::join!(answer, connection);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_to_this_machine_only() {
        for (text, api) in [
            ("http://localhost:7070", "http://localhost:7070/api/v1"),
            ("http://127.0.0.1:80/", "http://127.0.0.1:80/api/v1"),
            ("http://localhost:7070/api/v1/", "http://localhost:7070/api/v1"),
        ] {
            assert_eq!(HubUrl::parse(text).map(|hub| hub.api()), Ok(api.to_owned()));
        }
        for bad in [
            "",
            "localhost:7070",
            "https://localhost:7070",
            "http://localhost",
            "http://hub.example:7070",
            "http://localhost:7070@evil.example:80",
            "http://localhost:+70",
            "http://localhost:0",
            "http://localhost:7070/x",
        ] {
            assert!(HubUrl::parse(bad).is_err(), "{bad:?}");
        }
    }
}
