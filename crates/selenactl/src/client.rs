//! HTTP/1.1 over the hub's admin socket.

mod upload;

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixStream, time::timeout};

pub(crate) use upload::Upload;

use crate::{early_answer::EarlyAnswer, error::CallError, sse::SseParser};

/// How long an answer may take; an install that is answered at its end takes its trial and its start, 90 s.
const PATIENCE_SECS: u64 = 180;

/// Longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What a request carries.
#[derive(Debug)]
pub(crate) enum Body {
    /// Nothing.
    None,
    /// A JSON document.
    Json(Value),
    /// A package.
    Zip(Vec<u8>),
}

/// An answer of success.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status, 200 to 299.
    pub(crate) status: StatusCode,
    /// Its JSON; null if it has no body.
    pub(crate) body: Value,
}

/// The hub behind its socket. Each request has a connection of its own.
#[derive(Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of this socket; nothing is connected yet.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The JSON of a path below `/api/v1`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, CallError> {
        Ok(self.send(Method::GET, path, Body::None, &[]).await?.body)
    }

    /// Sends a request to a path below `/api/v1`.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
        headers: &[(HeaderName, &str)],
    ) -> Result<Answer, CallError> {
        let response = self.request(method, path, body, headers).await?;
        let status = response.status();
        let text = read(response).await?;
        if text.is_empty() {
            return Ok(Answer { status, body: Value::Null });
        }
        let body = serde_json::from_slice(&text).map_err(|error| CallError::Malformed(format!("no JSON: {error}")))?;
        Ok(Answer { status, body })
    }

    /// The text of a path below `/api/v1`.
    pub(crate) async fn text(&self, path: &str) -> Result<String, CallError> {
        let text = read(self.request(Method::GET, path, Body::None, &[]).await?).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The server-sent events of a path below `/api/v1`.
    pub(crate) async fn stream(&self, path: &str) -> Result<EventStream, CallError> {
        let response = self.request(Method::GET, path, Body::None, &[(ACCEPT, "text/event-stream")]).await?;
        Ok(EventStream { body: response.into_body(), parser: SseParser::default() })
    }

    /// The body of an answer, piece by piece. However long the hub takes between two.
    pub(crate) async fn download(&self, method: Method, path: &str, body: Body) -> Result<Pieces, CallError> {
        Ok(Pieces(self.request(method, path, body, &[]).await?.into_body()))
    }

    /// Sends a backup. The hub answers when it is done with it, however long that takes.
    pub(crate) async fn upload(&self, path: &str, upload: Upload) -> Result<Answer, CallError> {
        let response = self.exchange(upload.request(path).await?).await?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let status = response.status();
        let text = read(response).await?;
        let body = serde_json::from_slice(&text).map_err(|error| CallError::Malformed(format!("no JSON: {error}")))?;
        Ok(Answer { status, body })
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Body,
        headers: &[(HeaderName, &str)],
    ) -> Result<Response<Incoming>, CallError> {
        let request = build(method, path, body, headers)?;
        let request = request.map(|body| body.map_err(|never| match never {}).boxed_unsync());
        let answer = timeout(Duration::from_secs(PATIENCE_SECS), self.exchange(request)).await;
        let response = answer.map_err(|_| CallError::Late(PATIENCE_SECS))??;
        if response.status().is_success() { Ok(response) } else { Err(refused(response).await) }
    }

    async fn exchange(&self, request: Request<Sent>) -> Result<Response<Incoming>, CallError> {
        let unreachable = |source| CallError::Unreachable { socket: self.socket.clone(), source };
        let stream = UnixStream::connect(&self.socket).await.map_err(unreachable)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(EarlyAnswer(stream))).await.map_err(broken)?;
        // It ends with the answer's body, which is read elsewhere; an error of it shows there.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(broken)
    }
}

/// What is sent.
type Sent = UnsyncBoxBody<Bytes, std::io::Error>;

/// A body as it comes.
#[derive(Debug)]
pub(crate) struct Pieces(Incoming);

impl Pieces {
    /// The next piece; `None` at the end. A body that breaks off is an error.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            let Some(frame) = self.0.frame().await else { return Ok(None) };
            if let Ok(piece) = frame.map_err(broken)?.into_data() {
                return Ok(Some(piece));
            }
        }
    }
}

/// Events as they come.
#[derive(Debug)]
pub(crate) struct EventStream {
    body: Incoming,
    parser: SseParser,
}

impl EventStream {
    /// The JSON of the next event; `None` when the hub ends the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, CallError> {
        loop {
            if let Some(data) = self.parser.next() {
                let malformed = |error| CallError::Malformed(format!("an event is no JSON: {error}"));
                return serde_json::from_str(&data).map(Some).map_err(malformed);
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Some(chunk) = frame.map_err(broken)?.data_ref() {
                self.parser.push(chunk).map_err(broken)?;
            }
        }
    }
}

fn build(
    method: Method,
    path: &str,
    body: Body,
    headers: &[(HeaderName, &str)],
) -> Result<Request<Full<Bytes>>, CallError> {
    let mut builder = Request::builder().method(method).uri(format!("/api/v1{path}")).header(HOST, "localhost");
    for (name, value) in headers {
        builder = builder.header(name, *value);
    }
    let body = match body {
        Body::None => Bytes::new(),
        Body::Json(value) => {
            builder = builder.header(CONTENT_TYPE, "application/json");
            Bytes::from(value.to_string())
        }
        Body::Zip(bytes) => {
            builder = builder.header(CONTENT_TYPE, "application/zip");
            Bytes::from(bytes)
        }
    };
    builder.body(Full::new(body)).map_err(broken)
}

async fn read(response: Response<Incoming>) -> Result<Bytes, CallError> {
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
    Ok(body.collect().await.map_err(CallError::Broken)?.to_bytes())
}

async fn refused(response: Response<Incoming>) -> CallError {
    let status = response.status();
    match read(response).await {
        Ok(text) => CallError::Refused { status, body: serde_json::from_slice(&text).unwrap_or_default() },
        Err(error) => error,
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CallError {
    CallError::Broken(error.into())
}
