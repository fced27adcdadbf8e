//! HTTPS to hosts outside, and to nothing else (protocol, section 7, "Proxy"); and the connections of approved egress,
//! behind the same checks.
//!
//! A name is resolved once, every address of the answer is checked, and the connection goes to a checked address; no
//! redirect is followed, no proxy of the environment is used, and no setting switches the checks off.

mod address;
mod dial;
mod exchange;
mod resolve;
mod tls;

use std::{io, net::SocketAddr, path::Path, time::Duration};

use futures_util::future::BoxFuture;
use rustls::pki_types::ServerName;
use selena_core::ports::{Https, HttpsAnswer, HttpsError, HttpsRequest, HttpsUrl};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use address::Reach;
pub use dial::GuardedDial;
use exchange::Prepared;
use resolve::Resolver;
pub use tls::CaFileError;
use tls::Trust;

/// In how many parts the time is cut for a host with several addresses: one that is silent does not use up all of it.
const ATTEMPTS: u32 = 4;

/// Most names of requests with tokens that are resolved at once.
const MAX_LOOKUPS: usize = 64;

/// The hub's one way to the world outside.
#[derive(Debug)]
pub struct GuardedHttps {
    trust: Trust,
    resolver: Resolver,
}

impl GuardedHttps {
    /// Believes the system's authorities, and those of a PEM file if there is one.
    ///
    /// Blocking: to be called before the work begins.
    ///
    /// # Errors
    /// [`CaFileError`] if that file cannot be read, or holds something else.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, CaFileError> {
        Ok(Self { trust: Trust::new(ca_file)?, resolver: Resolver::new(MAX_LOOKUPS) })
    }

    async fn ask(&self, request: HttpsRequest, url: &HttpsUrl) -> Result<HttpsAnswer, HttpsError> {
        let patience = request.timeout / ATTEMPTS;
        let prepared = Prepared::new(request, url)?;
        let addresses = self.resolver.addresses(url.host(), url.port(), Reach::Outside).await?;
        let stream = connect(&addresses, patience).await.map_err(|source| unreachable(url, source))?;
        let secured = self.secure(stream, url).await.map_err(|source| unreachable(url, source))?;
        prepared.exchange(secured).await
    }

    async fn secure(&self, stream: TcpStream, url: &HttpsUrl) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(url.host().to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(self.trust.config().await?).connect(name, stream).await
    }
}

impl Https for GuardedHttps {
    fn send(&self, request: HttpsRequest) -> BoxFuture<'_, Result<HttpsAnswer, HttpsError>> {
        Box::pin(async move {
            let url = HttpsUrl::parse(&request.url)?;
            let limit = request.timeout;
            let late = |_| Err(HttpsError::Timeout { host: url.host().to_owned() });
            timeout(limit, self.ask(request, &url)).await.unwrap_or_else(late)
        })
    }
}

/// Connects to the first address that takes it; none but the last has more than a part of the time.
async fn connect(addresses: &[SocketAddr], patience: Duration) -> io::Result<TcpStream> {
    let (last, others) = addresses.split_last().ok_or(io::ErrorKind::NotFound)?;
    for address in others {
        if let Ok(Ok(stream)) = timeout(patience, TcpStream::connect(address)).await {
            return stream.set_nodelay(true).map(|()| stream);
        }
    }
    let stream = TcpStream::connect(last).await?;
    stream.set_nodelay(true).map(|()| stream)
}

fn unreachable(url: &HttpsUrl, source: io::Error) -> HttpsError {
    HttpsError::Connect { host: url.host().to_owned(), source: source.into() }
}
