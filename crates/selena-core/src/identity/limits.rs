//! How many requests a second are taken, with a token and without (protocol, section 5).

use crate::rate_limit::RequestLimit;

/// Requests a second that one token may make.
pub const TOKEN_REQUESTS_PER_SEC: usize = 100;
/// Requests a second without a valid token that one listener takes.
pub const ANONYMOUS_REQUESTS_PER_SEC: usize = 20;

/// Whether requests are limited; measurements lift it (protocol, section 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestLimits {
    /// As the protocol says.
    Protocol,
    /// Not at all.
    Lifted,
}

impl RequestLimits {
    pub(super) fn per_token(self) -> Option<usize> {
        (self == Self::Protocol).then_some(TOKEN_REQUESTS_PER_SEC)
    }

    fn anonymous(self) -> Option<usize> {
        (self == Self::Protocol).then_some(ANONYMOUS_REQUESTS_PER_SEC)
    }
}

/// How much without a valid token one listener takes.
#[derive(Debug)]
pub(super) struct StrangerLimits {
    pub(super) requests: RequestLimit,
    /// `GET /health` that went over it: who watches the hub is answered at once all the same, so many times a second.
    pub(super) refused_health: RequestLimit,
}

impl StrangerLimits {
    pub(super) fn new(limits: RequestLimits) -> Self {
        let limit = || RequestLimit::new(limits.anonymous());
        Self { requests: limit(), refused_health: limit() }
    }
}
