//! Calling modules: one connection is kept open to each (protocol, sections 1 and 6).

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream as StdStream},
    sync::{Arc, Mutex},
};

use axum::http::{Method, Request, header};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use selena_core::ports::{CallError, ModuleAddress, ModuleAnswer, ModuleCalls, ModuleRequest, RunId, Sandbox};
use tokio::net::{TcpSocket, TcpStream};

type Connection = http1::SendRequest<Full<Bytes>>;

/// Calls modules, inside their namespaces.
#[derive(Debug)]
pub struct Client {
    sandbox: Arc<dyn Sandbox>,
    idle: Mutex<HashMap<ModuleAddress, Connection>>,
}

impl Client {
    /// A client whose sockets to module runs come from the sandbox.
    #[must_use]
    pub fn new(sandbox: Arc<dyn Sandbox>) -> Self {
        Self { sandbox, idle: Mutex::default() }
    }

    async fn call_once(&self, to: &ModuleAddress, request: &ModuleRequest<'_>) -> Result<ModuleAnswer, CallError> {
        let kept = self.idle.lock().expect("nothing panics while it holds the connections").remove(to);
        if let Some(mut connection) = kept.filter(|connection| !connection.is_closed()) {
            match send(&mut connection, to, request).await {
                Ok(answer) => return Ok(self.keep(to, connection, answer)),
                // Closed before any byte of an answer: the module's server gave the idle connection up.
                Err(Sent::Nothing(error)) => tracing::debug!(%error, "a kept connection was closed; it is reopened"),
                Err(Sent::Failed(error)) => return Err(error),
            }
        }
        let mut connection = self.connect(to).await?;
        match send(&mut connection, to, request).await {
            Ok(answer) => Ok(self.keep(to, connection, answer)),
            Err(Sent::Nothing(error)) => Err(CallError::Broken(Box::new(error))),
            Err(Sent::Failed(error)) => Err(error),
        }
    }

    fn keep(&self, to: &ModuleAddress, connection: Connection, answer: ModuleAnswer) -> ModuleAnswer {
        // A body that was not read to its end leaves the connection in the middle of an answer.
        if answer.body.is_some() && !connection.is_closed() {
            let mut idle = self.idle.lock().expect("nothing panics while it holds the connections");
            // An answer that came after its run was forgotten must not be kept for ever.
            idle.retain(|_, kept| !kept.is_closed());
            idle.insert(to.clone(), connection);
        }
        answer
    }

    async fn connect(&self, to: &ModuleAddress) -> Result<Connection, CallError> {
        let stream = match to {
            ModuleAddress::Run { run, port } => {
                let socket = self.sandbox.socket(run).await.map_err(CallError::Namespace)?;
                connect(TcpSocket::from_std_stream(StdStream::from(socket)), *port).await
            }
            ModuleAddress::Host { port } => match TcpSocket::new_v4() {
                Ok(socket) => connect(socket, *port).await,
                Err(error) => Err(error),
            },
        };
        let stream = stream.map_err(CallError::Connect)?;
        let _no_delay_is_only_faster = stream.set_nodelay(true);
        let shaken = http1::Builder::new().max_buf_size(64 * 1024).handshake(TokioIo::new(stream)).await;
        let (connection, driver) = shaken.map_err(|error| CallError::Broken(Box::new(error)))?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to a module broke");
            }
        });
        Ok(connection)
    }
}

async fn connect(socket: TcpSocket, port: u16) -> io::Result<TcpStream> {
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// How far a request came that got no answer.
enum Sent {
    /// Not a byte of an answer came.
    Nothing(hyper::Error),
    /// It failed otherwise.
    Failed(CallError),
}

impl From<hyper::Error> for Sent {
    fn from(error: hyper::Error) -> Self {
        // A part of an answer that is no HTTP is an answer, and the request was taken.
        if error.is_parse() { Self::Failed(CallError::Broken(Box::new(error))) } else { Self::Nothing(error) }
    }
}

async fn send(
    connection: &mut Connection,
    to: &ModuleAddress,
    request: &ModuleRequest<'_>,
) -> Result<ModuleAnswer, Sent> {
    connection.ready().await?;
    let answer = connection.send_request(build(to, request)?).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), request.max_answer_bytes).collect().await;
    Ok(ModuleAnswer { status, body: body.ok().map(Collected::to_bytes) })
}

fn build(to: &ModuleAddress, request: &ModuleRequest<'_>) -> Result<Request<Full<Bytes>>, Sent> {
    let (ModuleAddress::Run { port, .. } | ModuleAddress::Host { port }) = to;
    let method = if request.body.is_some() { Method::POST } else { Method::GET };
    let mut builder =
        Request::builder().method(method).uri(request.path).header(header::HOST, format!("localhost:{port}"));
    for (name, value) in request.headers {
        builder = builder.header(*name, value);
    }
    let body = Full::new(request.body.clone().unwrap_or_default());
    builder.body(body).map_err(|error| Sent::Failed(CallError::Broken(Box::new(error))))
}

impl ModuleCalls for Client {
    fn call<'a>(
        &'a self,
        to: &'a ModuleAddress,
        request: ModuleRequest<'a>,
    ) -> BoxFuture<'a, Result<ModuleAnswer, CallError>> {
        Box::pin(async move {
            let outcome = tokio::time::timeout(request.timeout, self.call_once(to, &request)).await;
            outcome.unwrap_or(Err(CallError::Timeout))
        })
    }

    fn forget(&self, run: &RunId) {
        let mut idle = self.idle.lock().expect("nothing panics while it holds the connections");
        idle.retain(|address, _| !matches!(address, ModuleAddress::Run { run: of, .. } if of == run));
    }
}
