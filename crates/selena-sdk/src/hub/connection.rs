//! Connections to the hub: kept open between calls.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::Instant};

use crate::core_url::CoreUrl;

/// A kept connection that was idle for longer is not used: the hub may be closing it at this moment.
const MAX_IDLE: Duration = Duration::from_secs(4);
/// Most kept connections.
const MAX_KEPT: usize = 4;
/// Longest answer: 500 devices with states of 64 KiB.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

type Sender = http1::SendRequest<Full<Bytes>>;

/// An answer of the hub, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Not even a connection.
    Unreachable(io::Error),
    /// It broke off.
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

/// The connections to one hub.
#[derive(Debug)]
pub(crate) struct Connections {
    url: CoreUrl,
    kept: Mutex<Vec<(Sender, Instant)>>,
}

impl Connections {
    pub(crate) fn new(url: CoreUrl) -> Self {
        Self { url, kept: Mutex::default() }
    }

    pub(crate) fn url(&self) -> &CoreUrl {
        &self.url
    }

    /// Sends one request and reads the whole answer. A kept connection that turns out closed is replaced by a new one,
    /// if nothing of the request was sent.
    pub(crate) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
        while let Some(mut kept) = self.take() {
            match kept.try_send_request(request).await {
                Ok(answer) => return self.finish(kept, answer).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(NoAnswer::Broken(Box::new(error.into_error()))),
                },
            }
        }
        let mut fresh = self.connect().await?;
        let answer = fresh.send_request(request).await.map_err(|error| NoAnswer::Broken(Box::new(error)))?;
        self.finish(fresh, answer).await
    }

    async fn finish(&self, sender: Sender, answer: hyper::Response<hyper::body::Incoming>) -> Result<Answer, NoAnswer> {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(NoAnswer::Broken)?.to_bytes();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT && !sender.is_closed() {
            kept.push((sender, Instant::now()));
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn take(&self) -> Option<Sender> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < MAX_IDLE);
        let ready = kept.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(kept.remove(ready).0)
    }

    async fn connect(&self) -> Result<Sender, NoAnswer> {
        let stream = TcpStream::connect(self.url.address).await.map_err(NoAnswer::Unreachable)?;
        let _no_delay_is_only_faster = stream.set_nodelay(true);
        let shaken = http1::Builder::new().max_buf_size(64 * 1024).handshake(TokioIo::new(stream)).await;
        let (sender, driver) = shaken.map_err(|error| NoAnswer::Broken(Box::new(error)))?;
        // Its end shows in the sender; why it ended is told to the call that was under way.
        tokio::spawn(driver);
        Ok(sender)
    }
}
