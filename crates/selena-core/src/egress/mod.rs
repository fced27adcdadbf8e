//! Approved egress: whether a module is connected to a place outside, and that it was (protocol, section 1).

mod place;

use std::{os::fd::OwnedFd, sync::Arc};

use selena_types::EgressRule;

use crate::{
    Api, ApiError,
    identity::{ModuleRun, TOKEN_REQUESTS_PER_SEC},
    ports::{Dial, DialError, DialTarget},
    rate_limit::SlidingWindow,
};
pub use place::{Place, PlaceError};

/// Most tunnels of one module at once.
pub const MAX_TUNNELS: usize = 32;

/// The door to the world outside of one run of a module: what a person granted to it, and nothing else.
#[derive(Debug)]
pub struct EgressGate {
    api: Arc<Api>,
    run: Arc<ModuleRun>,
    rules: Vec<EgressRule>,
    dial: Arc<dyn Dial>,
    limit: SlidingWindow,
}

impl EgressGate {
    /// The door of a run to which these rules were granted.
    #[must_use]
    pub fn new(api: Arc<Api>, run: Arc<ModuleRun>, rules: Vec<EgressRule>, dial: Arc<dyn Dial>) -> Self {
        Self { api, run, rules, dial, limit: SlidingWindow::new(Some(TOKEN_REQUESTS_PER_SEC)) }
    }

    /// The module, for the journal.
    #[must_use]
    pub fn module(&self) -> &str {
        self.run.name.as_str()
    }

    /// Connects to a place: a connected, non-blocking TCP socket. Whatever becomes of it is recorded.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] with `egress_denied` or `egress_address`, [`ApiError::Upstream`] with
    /// `upstream_unreachable` or `upstream_timeout`, or [`ApiError::Unauthenticated`] after the run ended.
    pub async fn open(&self, place: &Place) -> Result<OwnedFd, ApiError> {
        if !self.run.is_live() {
            return Err(ApiError::Unauthenticated);
        }
        let target = self.target(place)?;
        let mut attempt = Attempt { gate: self, place, outcome: "abandoned" };
        match self.dial.connect(target).await {
            Ok(socket) => {
                attempt.outcome = "connected";
                Ok(socket)
            }
            Err(error) => {
                let (error, code) = told(&error);
                attempt.outcome = code;
                Err(error)
            }
        }
    }

    /// Whether one more request passes in this second (protocol, section 5).
    ///
    /// # Errors
    /// [`ApiError::RateLimited`].
    pub fn pass(&self) -> Result<(), ApiError> {
        if self.limit.pass() { Ok(()) } else { Err(ApiError::RateLimited) }
    }

    /// Records a request that was refused; `what` must not hold a secret.
    pub fn refused(&self, code: &str, what: &str) {
        self.api.record(code, self.run.name.as_str(), what);
    }

    /// The place as it is connected to, if a rule names it.
    fn target(&self, place: &Place) -> Result<DialTarget, ApiError> {
        let mut named = self.rules.iter().filter(|rule| place.is_named_by(rule)).peekable();
        if named.peek().is_none() {
            self.refused("egress_denied", &place.to_string());
            let detail = format!("`{place}` is none of the places in the manifest's `network.egress`");
            return Err(ApiError::Forbidden { code: "egress_denied", detail });
        }
        let lan = named.any(|rule| rule.lan);
        Ok(DialTarget { module: self.run.name.clone(), host: place.host(), port: place.port(), lan })
    }
}

/// A connection outside that was begun. Its record is written when this is dropped: also if nobody waited for the end.
struct Attempt<'a> {
    gate: &'a EgressGate,
    place: &'a Place,
    outcome: &'static str,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let detail = format!("{} {}", self.place, self.outcome);
        self.gate.api.record("egress", self.gate.run.name.as_str(), &detail);
    }
}

/// What the module is told, and the machine's word for it. Why a name was not reached is the journal's: it would tell
/// what the house's network is like.
fn told(error: &DialError) -> (ApiError, &'static str) {
    let detail = error.to_string();
    tracing::debug!(error = error as &dyn std::error::Error, "no connection outside");
    match error {
        DialError::Refused(_) => (ApiError::Forbidden { code: "egress_address", detail }, "egress_address"),
        DialError::Unreachable { .. } => {
            (ApiError::Upstream { code: "upstream_unreachable", detail }, "upstream_unreachable")
        }
        DialError::Timeout { .. } => (ApiError::Upstream { code: "upstream_timeout", detail }, "upstream_timeout"),
    }
}
