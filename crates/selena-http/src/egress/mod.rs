//! Approved egress: an HTTP proxy for `CONNECT`, and for that alone, in a module's namespace (protocol, section 1).

mod head;
mod tunnel;

use std::{io, net::TcpStream as StdStream, sync::Arc, time::Duration};

use axum::http::StatusCode;
use selena_core::{
    ApiError,
    egress::{EgressGate, MAX_TUNNELS},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Failure, Told},
    server::{HEAD_TIMEOUT, pause},
};
use head::{Connect, MAX_HEAD_BYTES};
use tunnel::{Traffic, carry};

/// Most connections of a module: its tunnels, and some that are being asked for or refused.
const MAX_CONNECTIONS: usize = MAX_TUNNELS + 16;
/// How long nothing may go through a tunnel.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long what a refused client still sends is read: closed on unread bytes, it would lose the answer.
const LINGER: Duration = Duration::from_secs(1);
/// Most bytes of that.
const MAX_LINGER_BYTES: u64 = 64 * 1024;

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection Established\r\n\r\n";

/// A proxy of one run.
#[derive(Debug)]
struct Proxy {
    gate: EgressGate,
    tunnels: Arc<Semaphore>,
}

/// Takes connections until `ended`, which cuts all of them.
pub(crate) async fn accept(listener: TcpListener, gate: EgressGate, ended: CancellationToken) {
    let proxy = Arc::new(Proxy { gate, tunnels: Arc::new(Semaphore::new(MAX_TUNNELS)) });
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            // First: a listener that was shut down also gives an error.
            biased;
            () = ended.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            proxy.gate.refused("connection_limit", "connection to the egress proxy");
            continue;
        };
        let (proxy, ended) = (proxy.clone(), ended.clone());
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                biased;
                () = ended.cancelled() => {}
                done = proxy.converse(stream) => {
                    if let Err(error) = done {
                        tracing::debug!(%error, "a connection to the egress proxy broke");
                    }
                }
            }
        });
    }
}

/// What a request came to.
struct Opened {
    permit: OwnedSemaphorePermit,
    outside: TcpStream,
    traffic: Traffic,
    /// What the module has sent already for the place.
    early: Vec<u8>,
}

impl Proxy {
    async fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        let _no_delay_is_only_faster = stream.set_nodelay(true);
        let Ok(read) = timeout(HEAD_TIMEOUT, read_head(&mut stream)).await else {
            let late = Failure::new(StatusCode::REQUEST_TIMEOUT, "head_timeout", "the request did not arrive in time");
            return self.refuse(stream, &late).await;
        };
        let opened = match read? {
            Ok(Some((connect, early))) => self.open(connect, early).await,
            // It hung up before it asked.
            Ok(None) => return Ok(()),
            Err(failure) => Err(failure),
        };
        match opened {
            Ok(Opened { permit: _held_until_it_ends, outside, traffic, early }) => {
                stream.write_all(ESTABLISHED).await?;
                carry(stream, outside, &early, IDLE_TIMEOUT, &traffic).await;
                Ok(())
            }
            Err(failure) => self.refuse(stream, &failure).await,
        }
    }

    async fn open(&self, connect: Connect, early: Vec<u8>) -> Result<Opened, Failure> {
        self.gate.pass()?;
        let full = "as many tunnels of this module as it may have are open already: close one of them";
        let permit = self.tunnels.clone().try_acquire_owned().map_err(|_| ApiError::TooManyAtOnce(full))?;
        let socket = self.gate.open(&connect.place).await?;
        let outside = TcpStream::from_std(StdStream::from(socket)).map_err(ApiError::internal)?;
        let traffic = Traffic::new(self.gate.module(), connect.place.to_string());
        Ok(Opened { permit, outside, traffic, early })
    }

    /// Tells why there is no tunnel. What the gate refused it has recorded itself, with the place.
    async fn refuse(&self, mut stream: TcpStream, failure: &Failure) -> io::Result<()> {
        let Told { status, body, header } = failure.told();
        if !matches!(status, StatusCode::FORBIDDEN | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) {
            self.gate.refused(body["code"].as_str().unwrap_or_default(), "egress proxy");
        }
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
        if status == StatusCode::METHOD_NOT_ALLOWED {
            head.push_str("Allow: CONNECT\r\n");
        }
        if let Some((name, value)) = header {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = body.to_string();
        let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut rest = stream.take(MAX_LINGER_BYTES);
        let _it_has_the_answer_or_hung_up = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
        Ok(())
    }
}

/// Reads a request's head and whatever came with it; `None` if the client hung up before.
async fn read_head(stream: &mut TcpStream) -> io::Result<Result<Option<(Connect, Vec<u8>)>, Failure>> {
    let mut bytes = vec![0; MAX_HEAD_BYTES];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut bytes[filled..]).await?;
        if read == 0 {
            return Ok(Ok(None));
        }
        filled += read;
        match head::parse(&bytes[..filled]) {
            Ok(None) => {}
            Ok(Some(connect)) => {
                let early = bytes[connect.length..filled].to_vec();
                return Ok(Ok(Some((connect, early))));
            }
            Err(failure) => return Ok(Err(failure)),
        }
    }
}
