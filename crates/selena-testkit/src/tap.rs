//! Between the module and the hub: sees every request, and can refuse some as a hub in trouble would.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

type Body = BoxBody<Bytes, hyper::Error>;

/// A request of the module, as the hub answered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRequest {
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
}

/// What was seen, and what is to be refused.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    seen: watch::Sender<Vec<SeenRequest>>,
    refusals: Mutex<VecDeque<StatusCode>>,
}

impl Tap {
    /// All requests so far, and those to come.
    pub(crate) fn seen(&self) -> watch::Receiver<Vec<SeenRequest>> {
        self.seen.subscribe()
    }

    /// Forgets what was seen.
    pub(crate) fn clear(&self) {
        self.seen.send_replace(Vec::new());
    }

    /// Refuses the next requests.
    pub(crate) fn refuse(&self, status: StatusCode, times: usize) {
        let mut refusals = self.refusals.lock().expect("nothing panics while it holds the refusals");
        refusals.extend(std::iter::repeat_n(status, times));
    }

    /// Passes all that comes in by `listener` on to the hub at `hub`, until `ended`: then nothing listens any more.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener, hub: SocketAddr, ended: CancellationToken) {
        let own_port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
        loop {
            let accepted = tokio::select! {
                () = ended.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _peer)) = accepted else { continue };
            let (tap, ended) = (self.clone(), ended.clone());
            let service = service_fn(move |request| tap.clone().pass(request, own_port, hub));
            tokio::spawn(async move {
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    () = ended.cancelled() => {}
                    _broken = served => {}
                }
            });
        }
    }

    async fn pass(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        own_port: u16,
        hub: SocketAddr,
    ) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let refusal = self.refusals.lock().expect("nothing panics while it holds the refusals").pop_front();
        let answer = match refusal {
            Some(status) => {
                // As a hub does: a connection with half a request in it could not be kept.
                request.body_mut().collect().await?;
                refused(status)
            }
            None => {
                rename_host(&mut request, own_port, hub.port());
                let stream = TokioIo::new(TcpStream::connect(hub).await?);
                let (mut sender, connection) = client::conn::http1::handshake(stream).await?;
                tokio::spawn(connection);
                sender.send_request(request).await?.map(BodyExt::boxed)
            }
        };
        let seen = SeenRequest { method, path, status: answer.status().as_u16() };
        self.seen.send_modify(|all| all.push(seen));
        Ok(answer)
    }
}

/// The hub wants its own port in `Host`; a wrong one stays wrong.
fn rename_host(request: &mut Request<Incoming>, from: u16, to: u16) {
    let headers = request.headers_mut();
    if headers.get_all(header::HOST).iter().count() != 1 {
        return;
    }
    let own = headers[header::HOST].to_str().ok().and_then(|host| host.rsplit_once(':'));
    let renamed = own.filter(|(_, port)| *port == from.to_string()).map(|(name, _)| format!("{name}:{to}"));
    if let Some(value) = renamed.and_then(|host| HeaderValue::from_str(&host).ok()) {
        headers.insert(header::HOST, value);
    }
}

fn refused(status: StatusCode) -> Response<Body> {
    let body = json!({ "detail": "the test wants this refused", "code": "refused_by_test" }).to_string();
    let mut response = Response::new(Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
