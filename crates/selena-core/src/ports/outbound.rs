//! Requests from the core to modules.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::ports::{RunId, SandboxError};

/// Where a module listens. Connections are kept and reused per address (protocol, section 6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ModuleAddress {
    /// `127.0.0.1:<port>` inside a run's namespace.
    Run {
        /// The run.
        run: RunId,
        /// The port.
        port: u16,
    },
    /// `127.0.0.1:<port>` of the host: only for the development token's subscriptions (protocol, section 12).
    Host {
        /// The port.
        port: u16,
    },
}

/// A request to a module; a `POST` if it has a body, else a `GET`.
#[derive(Debug)]
pub struct ModuleRequest<'a> {
    /// Path and query, beginning with `/`.
    pub path: &'a str,
    /// Headers besides `Host` and `Content-Length`; names in lower case.
    pub headers: &'a [(&'static str, String)],
    /// The JSON body.
    pub body: Option<Bytes>,
    /// How long connecting, sending and reading the whole answer may take.
    pub timeout: Duration,
    /// Most bytes of the answer's body that are read.
    pub max_answer_bytes: usize,
}

/// A module's answer. Redirects are answers like others: they are never followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleAnswer {
    /// The status.
    pub status: u16,
    /// The body; `None` if it was longer than allowed or broke off. The status counts all the same.
    pub body: Option<Bytes>,
}

/// Why a module gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It does not take connections.
    #[error("the module does not take connections on its port")]
    Connect(#[source] std::io::Error),
    /// The namespace could not be entered.
    #[error("no socket in the module's namespace")]
    Namespace(#[source] SandboxError),
    /// It did not answer in time.
    #[error("the module did not answer in time")]
    Timeout,
    /// The connection broke before an answer, or what came is no HTTP.
    #[error("the module's connection broke off, or what came is no HTTP")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// HTTP to modules.
pub trait ModuleCalls: std::fmt::Debug + Send + Sync + 'static {
    /// Sends one request and reads the answer.
    ///
    /// A kept connection that turns out closed before any byte of an answer is reopened once, within the same call.
    fn call<'a>(
        &'a self,
        to: &'a ModuleAddress,
        request: ModuleRequest<'a>,
    ) -> BoxFuture<'a, Result<ModuleAnswer, CallError>>;

    /// Closes what is kept open to a run that ended.
    fn forget(&self, run: &RunId);
}
