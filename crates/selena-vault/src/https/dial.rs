//! Connections of approved egress (protocol, section 1).

use std::{io, os::fd::OwnedFd, time::Duration};

use futures_util::future::BoxFuture;
use selena_core::ports::{Dial, DialError, DialTarget, HttpsError};
use tokio::time::timeout;

use super::{ATTEMPTS, address::Reach, connect, resolve::Resolver};

/// How long resolving and connecting may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Connections outside for modules, behind the checks of [`GuardedHttps`](super::GuardedHttps). It resolves names apart
/// from it: modules that ask for names which nobody answers do not hold up the requests that bear tokens.
#[derive(Debug, Default)]
pub struct GuardedDial {
    resolver: Resolver,
}

impl GuardedDial {
    async fn reach(&self, target: &DialTarget) -> Result<OwnedFd, DialError> {
        let reach = if target.lan { Reach::OutsideAndLan } else { Reach::Outside };
        let found = self.resolver.addresses(&target.host, target.port, reach).await;
        let addresses = found.map_err(|error| dial_error(target, error))?;
        let connected = connect(&addresses, TIMEOUT / ATTEMPTS).await.and_then(|stream| stream.into_std());
        Ok(connected.map_err(|source| unreachable(target, source))?.into())
    }
}

impl Dial for GuardedDial {
    fn connect(&self, target: DialTarget) -> BoxFuture<'_, Result<OwnedFd, DialError>> {
        Box::pin(async move {
            let late = |_| Err(DialError::Timeout { host: target.host.clone() });
            timeout(TIMEOUT, self.reach(&target)).await.unwrap_or_else(late)
        })
    }
}

fn dial_error(target: &DialTarget, error: HttpsError) -> DialError {
    match error {
        HttpsError::Refused { detail, .. } => DialError::Refused(detail),
        other => DialError::Unreachable { host: target.host.clone(), source: other.into() },
    }
}

fn unreachable(target: &DialTarget, source: io::Error) -> DialError {
    DialError::Unreachable { host: target.host.clone(), source: source.into() }
}
