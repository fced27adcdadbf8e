//! Listeners and their connections.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nix::sys::socket::{Shutdown, shutdown};
use selena_core::{
    Api,
    egress::EgressGate,
    identity::Origin,
    ports::{ListenerHost, ServedListener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use crate::{context::Context, egress, router};

/// Most connections of one listener (series R, R12).
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// How long the head of a request may take to arrive.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take nothing of its answer, which waits in memory.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait after an error of `accept`, which is usually a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the API.
#[derive(Clone, Copy, Debug, Default)]
pub struct Server;

impl ListenerHost for Server {
    fn serve(&self, listener: OwnedFd, api: Arc<Api>, origin: Origin) -> io::Result<Arc<dyn ServedListener>> {
        // The host's may be systemd's, which keeps it open for the next core.
        let kept = matches!(origin, Origin::Host(_));
        let (listener, served) = Served::new(listener, kept)?;
        let context = Context { api, origin, port: Some(listener.local_addr()?.port()), tarpit: Arc::default() };
        tokio::spawn(accept_tcp(listener, context, served.ended.clone()));
        Ok(Arc::new(served))
    }

    fn serve_egress(&self, listener: OwnedFd, gate: EgressGate) -> io::Result<Arc<dyn ServedListener>> {
        let (listener, served) = Served::new(listener, false)?;
        tokio::spawn(egress::accept(listener, gate, served.ended.clone()));
        Ok(Arc::new(served))
    }
}

/// A TCP listener that is served.
#[derive(Debug)]
struct Served {
    listener: std::net::TcpListener,
    ended: CancellationToken,
    kept: bool,
}

impl Served {
    /// A listener to be served until the token is cancelled; one that is `kept` may be served again by whoever holds it.
    fn new(listener: OwnedFd, kept: bool) -> io::Result<(TcpListener, Self)> {
        let listener = std::net::TcpListener::from(listener);
        listener.set_nonblocking(true)?;
        let served = Self { listener: listener.try_clone()?, ended: CancellationToken::new(), kept };
        Ok((TcpListener::from_std(listener)?, served))
    }
}

impl ServedListener for Served {
    fn shut_down(&self) {
        // First, so that whoever accepts does not take the next line's error for one.
        self.ended.cancel();
        if !self.kept {
            // Also if another process holds a copy of the descriptor: nothing is accepted on it any more.
            if let Err(error) = shutdown(self.listener.as_raw_fd(), Shutdown::Both) {
                tracing::debug!(%error, "the listener was shut down before");
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shut_down();
    }
}

async fn accept_tcp(listener: TcpListener, context: Context, ended: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            // First: a listener that was shut down also gives an error.
            biased;
            () = ended.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => {
                let _no_delay_is_only_faster = stream.set_nodelay(true);
                connection(stream, &context, &places, ended.clone());
            }
            Err(error) => pause(&error).await,
        }
        context.tarpit.pace(MAX_CONNECTIONS - places.available_permits()).await;
    }
}

/// Serves the API to people on the admin socket, until `ended` (protocol, "Words").
pub async fn serve_admin(listener: UnixListener, api: Arc<Api>, ended: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = ended.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match stream.peer_cred() {
                Ok(peer) => {
                    let origin = Origin::Admin { who: format!("uid {}", peer.uid()) };
                    let context = Context { api: api.clone(), origin, port: None, tarpit: Arc::default() };
                    connection(stream, &context, &places, ended.clone());
                }
                Err(error) => tracing::warn!(%error, "a peer of the admin socket has no credentials: refused"),
            },
            Err(error) => pause(&error).await,
        }
    }
}

pub(crate) async fn pause(error: &io::Error) {
    tracing::warn!(error = error as &dyn std::error::Error, "a connection was not accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Serves one connection in a task of its own; one too many is closed at once.
fn connection<S>(stream: S, context: &Context, places: &Arc<Semaphore>, ended: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Ok(place) = places.clone().try_acquire_owned() else {
        context.api.refused_with("connection_limit", &context.origin.listener(), "connection");
        return;
    };
    let (router, context) = (TowerToHyperService::new(router::router()), context.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(context.clone());
        router.call(request)
    });
    tokio::spawn(async move {
        let _place = place;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(64 * 1024);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let served = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        tokio::select! {
            () = ended.cancelled() => {}
            outcome = served => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a connection broke");
                }
            }
        }
    });
}

#[cfg(test)]
mod tests;
