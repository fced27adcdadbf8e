//! One sign-in of a module at a provider, as it lies sealed in the database: it holds the provider's device code.

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use selena_types::{ModuleName, Secret};
use serde::{Deserialize, Serialize};

use crate::ports::{SealError, Sealer};

/// How a sign-in stands (protocol, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Pending,
    Completed,
    Denied,
    Expired,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Denied => "denied",
            Self::Expired => "expired",
        }
    }
}

/// A sign-in.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) status: Status,
    /// Digest of what the manifest said of the provider when it was begun.
    pub(super) rights: String,
    /// When it was begun, by the wall clock: Unix seconds.
    pub(super) started_at: i64,
    /// How long the codes are good for.
    pub(super) expires_secs: u64,
    pub(super) interval_secs: u64,
    /// Only while it is pending.
    pub(super) device_code: Option<Secret>,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    id: String,
    status: Status,
    rights: String,
    started_at: i64,
    expires_secs: u64,
    interval_secs: u64,
    device_code: Option<&'a str>,
}

impl Session {
    pub(super) fn seal(&self, sealer: &dyn Sealer, module: &ModuleName, provider: &str) -> Result<Vec<u8>, SealError> {
        let stored = Stored {
            id: self.id.clone(),
            status: self.status,
            rights: self.rights.clone(),
            started_at: self.started_at,
            expires_secs: self.expires_secs,
            interval_secs: self.interval_secs,
            device_code: self.device_code.as_ref().map(Secret::expose),
        };
        let text = Zeroizing::new(serde_json::to_vec(&stored).expect("texts and numbers are JSON"));
        sealer.seal(&context(module, provider), &text)
    }

    /// `None` if it does not open, or was written by a hub that knew more.
    pub(super) fn open(sealer: &dyn Sealer, module: &ModuleName, provider: &str, sealed: &[u8]) -> Option<Self> {
        let text = Zeroizing::new(sealer.open(&context(module, provider), sealed).ok()?);
        let stored: Stored<'_> = serde_json::from_slice(&text).ok()?;
        Some(Self {
            id: stored.id,
            status: stored.status,
            rights: stored.rights,
            started_at: stored.started_at,
            expires_secs: stored.expires_secs,
            interval_secs: stored.interval_secs,
            device_code: stored.device_code.map(|code| Secret::new(code.to_owned())),
        })
    }

    /// How long the codes are still good for after a restart, by a wall clock that may have jumped either way: never
    /// longer than at first, and the provider has the last word.
    pub(super) fn remaining_secs(&self, now: Timestamp) -> u64 {
        let passed = u64::try_from(now.as_second().saturating_sub(self.started_at)).unwrap_or(0);
        self.expires_secs.saturating_sub(passed)
    }
}

fn context(module: &ModuleName, provider: &str) -> String {
    format!("oauth session\n{module}\n{provider}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c02_a_clock_that_jumped_never_makes_a_session_longer() {
        let session = Session {
            id: String::new(),
            status: Status::Pending,
            rights: String::new(),
            started_at: 1_800_000_000,
            expires_secs: 1800,
            interval_secs: 5,
            device_code: None,
        };
        let remaining = |seconds| session.remaining_secs(Timestamp::from_second(seconds).expect("a time"));
        assert_eq!(remaining(1_800_000_000), 1800);
        assert_eq!(remaining(1_800_000_100), 1700);
        assert_eq!(remaining(1_800_009_999), 0);
        assert_eq!(remaining(0), 1800, "a boot at 1970");
    }
}
