//! The tokens of one module at one provider, as they lie sealed in the vault.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use selena_types::Secret;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::grant::Grant;

/// A token with less left is refreshed before it is used.
const MARGIN: Duration = Duration::from_secs(60);

/// The tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    /// The refresh token before: the provider may not have seen that the newer one arrived (O08).
    pub(super) previous: Option<Secret>,
    /// Digest of what the manifest said of the provider when they were granted: for anything else they are not used.
    pub(super) rights: String,
    obtained_at: i64,
    lifetime_secs: Option<u64>,
    /// When the access token ends, by the monotonic clock; the wall clock may jump while the hub runs (C02).
    ends: Option<Instant>,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    access: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    refresh: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    previous: Option<std::borrow::Cow<'a, str>>,
    rights: String,
    obtained_at: i64,
    lifetime_secs: Option<u64>,
}

impl Tokens {
    /// Tokens the provider gave just now. One that gives no new refresh token means that the one before stays good.
    pub(super) fn granted(grant: Grant, rights: String, before: Option<Secret>) -> Self {
        let (refresh, previous) = match (grant.refresh, before) {
            (Some(new), before) => {
                let changed = before.filter(|before| before.expose() != new.expose());
                (Some(new), changed)
            }
            (None, before) => (before, None),
        };
        Self {
            access: grant.access,
            refresh,
            previous,
            rights,
            obtained_at: Timestamp::now().as_second(),
            lifetime_secs: grant.lifetime_secs,
            ends: grant.lifetime_secs.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        }
    }

    /// The text for the vault.
    pub(super) fn to_secret(&self) -> Secret {
        let stored = Stored {
            access: self.access.expose().into(),
            refresh: self.refresh.as_ref().map(|token| token.expose().into()),
            previous: self.previous.as_ref().map(|token| token.expose().into()),
            rights: self.rights.clone(),
            obtained_at: self.obtained_at,
            lifetime_secs: self.lifetime_secs,
        };
        Secret::new(serde_json::to_string(&stored).expect("texts and numbers are JSON"))
    }

    /// Reads the vault's text; `None` if this hub does not know its form.
    pub(super) fn of(secret: &Secret) -> Option<Self> {
        let stored: Stored<'_> = serde_json::from_str(secret.expose()).ok()?;
        let own = |text: std::borrow::Cow<'_, str>| {
            let text = Zeroizing::new(text.into_owned());
            Secret::new(text.to_string())
        };
        let left = stored.lifetime_secs.map(|lifetime| left_secs(lifetime, stored.obtained_at, Timestamp::now()));
        Some(Self {
            access: own(stored.access),
            refresh: stored.refresh.map(own),
            previous: stored.previous.map(own),
            rights: stored.rights,
            obtained_at: stored.obtained_at,
            lifetime_secs: stored.lifetime_secs,
            ends: left.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        })
    }

    /// When it should be refreshed: a minute before its end, earlier than that only for tokens that live shortly.
    pub(super) fn refresh_at(&self) -> Option<Instant> {
        let lifetime = Duration::from_secs(self.lifetime_secs?);
        let margin = MARGIN.min(lifetime / 2);
        self.refresh.as_ref()?;
        self.ends.map(|ends| ends.checked_sub(margin).unwrap_or(ends))
    }

    /// Whether the access token has ended.
    pub(super) fn has_ended(&self, now: Instant) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }
}

/// What is left of a lifetime after a restart. With a wall clock behind the time of the grant nothing is known:
/// then it counts as ended, and is refreshed when it is first needed.
fn left_secs(lifetime: u64, obtained_at: i64, now: Timestamp) -> u64 {
    let passed = u64::try_from(now.as_second().saturating_sub(obtained_at)).unwrap_or(u64::MAX);
    lifetime.saturating_sub(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn tokens(refresh: Option<&str>, before: Option<&str>) -> (Option<String>, Option<String>) {
        let grant = Grant { access: secret("a\"\\é"), refresh: refresh.map(secret), lifetime_secs: Some(3600) };
        let tokens = Tokens::granted(grant, "rights".to_owned(), before.map(secret));
        let read = Tokens::of(&tokens.to_secret()).expect("its own form");
        assert_eq!((read.access.expose(), read.rights.as_str()), ("a\"\\é", "rights"));
        let text = |token: Option<Secret>| token.map(|token| token.expose().to_owned());
        (text(read.refresh), text(read.previous))
    }

    #[test]
    fn o08_the_refresh_token_before_is_kept_beside_a_new_one() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(tokens(Some("new"), Some("old")), (some("new"), some("old")));
        assert_eq!(tokens(None, Some("old")), (some("old"), None), "a provider that does not rotate");
        assert_eq!(tokens(Some("old"), Some("old")), (some("old"), None));
        assert_eq!(tokens(None, None), (None, None));
    }

    #[test]
    fn c02_what_is_left_after_a_restart_never_grows() {
        let left = |now| left_secs(3600, 1_800_000_000, Timestamp::from_second(now).expect("a time"));
        assert_eq!((left(1_800_000_000), left(1_800_000_600)), (3600, 3000));
        assert_eq!((left(1_900_000_000), left(0), left(1_799_999_999)), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn c02_while_the_hub_runs_only_the_monotonic_clock_counts() {
        let grant = Grant { access: secret("a"), refresh: Some(secret("r")), lifetime_secs: Some(3600) };
        let tokens = Tokens::granted(grant, String::new(), None);
        let begun = Instant::now();
        assert_eq!(tokens.refresh_at(), Some(begun + Duration::from_secs(3540)));
        tokio::time::advance(Duration::from_secs(3599)).await;
        assert!(!tokens.has_ended(Instant::now()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(tokens.has_ended(Instant::now()));
        let forever = Grant { access: secret("a"), refresh: None, lifetime_secs: None };
        assert_eq!(Tokens::granted(forever, String::new(), None).refresh_at(), None);
    }
}
