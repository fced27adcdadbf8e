//! Connections of approved egress (protocol, section 1).

use std::{collections::BTreeMap, io, os::fd::OwnedFd, sync::Mutex, time::Duration};

use futures_util::future::BoxFuture;
use selena_core::ports::{Dial, DialError, DialTarget, HttpsError};
use selena_types::ModuleName;
use tokio::time::timeout;

use super::{ATTEMPTS, address::Reach, connect, resolve::Resolver};

/// How long resolving and connecting may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most names of one module that are resolved at once. Each holds a thread of the runtime, which has 512: those of all
/// ports that modules can have, 101, and of the requests with tokens leave some for everything else.
const MAX_LOOKUPS: usize = 4;

/// Connections outside for modules, behind the checks of [`GuardedHttps`](super::GuardedHttps). Names are resolved apart
/// from it and for each module apart: one that asks for names which nobody answers holds up itself, and neither the
/// requests that bear tokens nor another module.
#[derive(Debug, Default)]
pub struct GuardedDial {
    /// Of the modules for which names are resolved now.
    resolvers: Mutex<BTreeMap<ModuleName, Resolver>>,
}

impl GuardedDial {
    /// By name, and not by run: a lookup outlives the run that asked for it.
    fn resolver(&self, module: &ModuleName) -> Resolver {
        let mut resolvers = self.resolvers.lock().expect("nothing panics while it holds the resolvers");
        resolvers.retain(|_, resolver| resolver.is_used());
        resolvers.entry(module.clone()).or_insert_with(|| Resolver::new(MAX_LOOKUPS)).clone()
    }

    async fn reach(&self, target: &DialTarget) -> Result<OwnedFd, DialError> {
        let reach = if target.lan { Reach::OutsideAndLan } else { Reach::Outside };
        let found = self.resolver(&target.module).addresses(&target.host, target.port, reach).await;
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
