//! One request and its answer on a connection that stands, within limits.

use std::{convert::Infallible, future::pending};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Body, Incoming},
    client::conn::http1,
    header::{self, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use selena_core::ports::{HttpsAnswer, HttpsError, HttpsRequest, HttpsUrl};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Most headers of an answer.
const MAX_HEADERS: usize = 100;
/// Most bytes of an answer's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What a request may do.
const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Headers of one connection, and those the client itself decides.
const OWN_HEADERS: [HeaderName; 8] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::ACCEPT_ENCODING,
];

/// A request as it goes out; it is made before anything is connected to, so that a wrong one costs no connection.
pub(super) struct Prepared {
    request: Request<Full<Bytes>>,
    host: String,
    max_answer_bytes: usize,
}

impl Prepared {
    /// # Errors
    /// [`HttpsError::Refused`] with `method`, `header` or `url`.
    pub(super) fn new(request: HttpsRequest, url: &HttpsUrl) -> Result<Self, HttpsError> {
        let method = METHODS.iter().find(|method| method.as_str() == request.method);
        let method = method.ok_or_else(|| refused("method", "the method is none of GET HEAD POST PUT PATCH DELETE"))?;
        let uri: hyper::Uri = url.path_and_query().parse().map_err(|_| refused("url", "the URL's path is none"))?;
        let has_body = !request.body.is_empty();
        let mut outgoing = Request::new(Full::new(Bytes::from(request.body)));
        *outgoing.method_mut() = method.clone();
        *outgoing.uri_mut() = uri;
        let headers = outgoing.headers_mut();
        for (name, value) in &request.headers {
            let name = HeaderName::try_from(name).map_err(|_| refused("header", "a header's name is none"))?;
            let mut value = HeaderValue::try_from(value).map_err(|_| refused("header", "a header's value is none"))?;
            value.set_sensitive(name == header::AUTHORIZATION);
            if !OWN_HEADERS.contains(&name) {
                headers.append(name, value);
            }
        }
        let host = HeaderValue::try_from(url.authority()).map_err(|_| refused("host", "the host is no header"))?;
        headers.insert(header::HOST, host);
        // What comes compressed nevertheless stays so: nothing is unpacked here, so nothing can grow.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if !has_body && !matches!(*method, Method::GET | Method::HEAD | Method::DELETE) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(Self { request: outgoing, host: url.host().to_owned(), max_answer_bytes: request.max_answer_bytes })
    }

    /// Sends it and reads the whole answer. Dropping this closes the connection.
    ///
    /// # Errors
    /// [`HttpsError::Broken`] or [`HttpsError::TooLarge`].
    pub(super) async fn exchange(self, stream: TlsStream<TcpStream>) -> Result<HttpsAnswer, HttpsError> {
        let Self { request, host, max_answer_bytes } = self;
        let broken = |source: hyper::Error| HttpsError::Broken { host: host.clone(), source: source.into() };
        let mut http = http1::Builder::new();
        http.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES);
        let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let answered = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            read(response, &host, max_answer_bytes).await
        };
        // The connection may end before the answer is read; what failed in it is told to the reader.
        let driven = async {
            let _told_to_the_reader = connection.await;
            pending::<Infallible>().await
        };
        tokio::select! {
            answer = answered => answer,
            never = driven => match never {},
        }
    }
}

async fn read(response: Response<Incoming>, host: &str, max_bytes: usize) -> Result<HttpsAnswer, HttpsError> {
    let too_large = || HttpsError::TooLarge { host: host.to_owned() };
    let (head, mut incoming) = response.into_parts();
    let announced = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max_bytes {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(announced);
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|source| HttpsError::Broken { host: host.to_owned(), source: source.into() })?;
        let Ok(data) = frame.into_data() else { continue };
        if body.len() + data.len() > max_bytes {
            return Err(too_large());
        }
        body.extend_from_slice(&data);
    }
    Ok(HttpsAnswer { status: head.status.as_u16(), headers: texts(&head.headers), body })
}

/// Headers as texts; bytes that are no UTF-8 become U+FFFD.
fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn refused(reason: &'static str, detail: &str) -> HttpsError {
    HttpsError::Refused { reason, detail: detail.to_owned() }
}
