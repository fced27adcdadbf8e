//! HTTPS from the hub to the world outside, guarded (protocol, section 7, "Proxy").

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;

/// A request to a host outside; it goes nowhere but to a globally reachable address of that host.
pub struct HttpsRequest {
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// The URL, as [`HttpsUrl`](super::HttpsUrl) reads it: `https://`, a DNS name, no user, no fragment.
    pub url: String,
    /// Headers; `Host`, `Content-Length` and those of one connection are set by the client alone.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// How long resolving, connecting, sending and reading the whole answer may take.
    pub timeout: Duration,
    /// Most bytes of the answer's body; a longer one is an error.
    pub max_answer_bytes: usize,
}

impl fmt::Debug for HttpsRequest {
    /// Without headers, query and body: they hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("HttpsRequest").field("method", &self.method).field("url", &url).finish_non_exhaustive()
    }
}

/// An answer from outside. Redirects are answers like others: they are never followed.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpsAnswer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl fmt::Debug for HttpsAnswer {
    /// Without headers and body: they may hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why there was no answer. No text holds a header, a query or a body.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The URL, its host or one of the host's addresses is refused; nothing was sent.
    #[error("{detail}")]
    Refused {
        /// The reason in one word, as in `proxy_<reason>`: `scheme host port address url method header`.
        reason: &'static str,
        /// For people.
        detail: String,
    },
    /// The name is not known, or the host takes no connection, or its certificate is not good.
    #[error("`{host}` cannot be reached")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What came is no HTTP, or broke off.
    #[error("`{host}` did not answer as HTTP has it")]
    Broken {
        /// The host.
        host: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is larger than allowed.
    #[error("the answer of `{host}` is larger than allowed")]
    TooLarge {
        /// The host.
        host: String,
    },
    /// It took too long.
    #[error("`{host}` did not answer in time")]
    Timeout {
        /// The host.
        host: String,
    },
}

/// HTTPS to hosts outside.
pub trait Https: fmt::Debug + Send + Sync + 'static {
    /// Resolves once, checks every address, connects to a checked one, sends, and reads the whole answer.
    fn send(&self, request: HttpsRequest) -> BoxFuture<'_, Result<HttpsAnswer, HttpsError>>;
}
