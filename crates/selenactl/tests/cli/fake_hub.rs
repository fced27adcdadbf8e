//! A hub of a few prepared answers on a real Unix socket, and the real program to speak to it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{Request, Response, body::Frame, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixListener;

/// One prepared answer: to which request, with what.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    request: &'static str,
    status: u16,
    body: Vec<u8>,
    chunk_bytes: usize,
    reads_request: bool,
}

/// An answer to `METHOD /path` below `/api/v1`.
pub(crate) fn answer(request: &'static str, status: u16, body: Value) -> Prepared {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    Prepared { request, status, body, chunk_bytes: usize::MAX, reads_request: true }
}

/// An answer of text.
pub(crate) fn text(request: &'static str, body: &str) -> Prepared {
    Prepared { request, status: 200, body: body.as_bytes().to_vec(), chunk_bytes: usize::MAX, reads_request: true }
}

/// A stream of events, each in a `data:` line, sent in chunks of so many bytes.
pub(crate) fn events(request: &'static str, chunk_bytes: usize, events: &[Value]) -> Prepared {
    let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    Prepared { request, status: 200, body: body.into_bytes(), chunk_bytes, reads_request: true }
}

impl Prepared {
    /// Answers before the request's body was read.
    pub(crate) fn at_once(mut self) -> Self {
        self.reads_request = false;
        self
    }
}

/// A request as it came: method and path, headers, body.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) request: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

/// The hub.
pub(crate) struct Hub {
    dir: TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
    left: Arc<Mutex<VecDeque<Prepared>>>,
}

impl Hub {
    /// A hub that gives these answers in this order, and 500 to anything else.
    pub(crate) fn start(answers: impl IntoIterator<Item = Prepared>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let listener = UnixListener::bind(dir.path().join("admin.sock")).expect("a socket");
        let hub = Self { dir, seen: Arc::default(), left: Arc::new(Mutex::new(answers.into_iter().collect())) };
        let (seen, left) = (Arc::clone(&hub.seen), Arc::clone(&hub.left));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, left) = (Arc::clone(&seen), Arc::clone(&left));
                let service = service_fn(move |request| respond(request, Arc::clone(&seen), Arc::clone(&left)));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        hub
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    /// A file beside the socket.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.to_string_lossy().into_owned()
    }

    /// What was asked, as `METHOD /path`; every prepared answer was given.
    pub(crate) fn asked(&self) -> Vec<String> {
        assert!(self.left.lock().expect("no panic").is_empty(), "answers are left: {:?}", self.left);
        self.seen().into_iter().map(|seen| seen.request).collect()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }

    /// Runs `selenactl` with these arguments, without a terminal.
    pub(crate) async fn ctl(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selenactl"));
        command.arg("--socket").arg(self.socket()).args(arguments).stdin(Stdio::null());
        run(command).await
    }
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The one JSON document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).expect("one JSON document")
    }
}

impl From<Output> for Ran {
    fn from(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: status.code(), out: text(stdout), err: text(stderr) }
    }
}

/// Runs a program to its end.
pub(crate) async fn run(mut command: Command) -> Ran {
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
    output.expect("the program starts").into()
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn respond(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
    left: Arc<Mutex<VecDeque<Prepared>>>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.to_string();
    let line = format!("{} {}", head.method, path.strip_prefix("/api/v1").unwrap_or("outside of the API"));
    let prepared = left.lock().expect("no panic").pop_front().filter(|prepared| prepared.request == line);
    let reads_request = prepared.as_ref().is_none_or(|prepared| prepared.reads_request);
    let body = if reads_request { body.collect().await.expect("a whole request").to_bytes() } else { Bytes::new() };
    seen.lock().expect("no panic").push(Seen { request: line, headers: head.headers, body });

    let mut response = Response::builder();
    let Some(prepared) = prepared else {
        let body = Full::new(Bytes::from_static(b"{\"detail\":\"not prepared\"}"));
        return Ok(response.status(500).body(body.boxed_unsync()).expect("a response"));
    };
    response = response.status(prepared.status);
    let chunks: Vec<_> = prepared.body.chunks(prepared.chunk_bytes).map(Bytes::copy_from_slice).collect();
    let frames = stream::iter(chunks.into_iter().map(|chunk| Ok(Frame::data(chunk))));
    Ok(response.body(StreamBody::new(frames).boxed_unsync()).expect("a response"))
}
