//! Tokens: given out while they are good, refreshed before they end, one refresh at a time for each (O08, O09).

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use selena_types::{ModuleName, OAuthProvider, Secret};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    OAuth, Place, exchange,
    grant::{self, TokenAnswer},
    rights,
    tokens::Tokens,
};
use crate::{
    ApiError,
    secrets::{Credentials, CredentialsError},
};

/// First and longest wait after a refresh that failed.
const RETRY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));
/// However short its tokens live, a provider is not asked more often than this if nobody needs one.
const KEEPER_PAUSE: Duration = Duration::from_secs(30);

/// The tokens of one place. Who refreshes or replaces them holds `held`: others wait and get the outcome.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) held: tokio::sync::Mutex<Held>,
    /// They were deleted: a refresh that is on the way ends, and nothing is written any more.
    pub(super) gone: CancellationToken,
    /// When the keeper looks at it next.
    due: Mutex<Option<Instant>>,
}

/// What is in memory.
#[derive(Debug, Default)]
pub(super) struct Held {
    loaded: bool,
    tokens: Option<Tokens>,
    /// The tokens are in memory only: writing them failed.
    unsaved: bool,
    /// After a refresh that failed: how long the next one waits, and until when.
    retry: Option<(Duration, Instant)>,
}

/// How a refresh ended.
enum Refreshed {
    Done,
    /// The token before may still be good; later again.
    Failed(String),
    /// The provider takes none of the refresh tokens: the person has to agree again.
    SignedOut,
}

impl Credentials for OAuth {
    fn access_token<'a>(
        &'a self,
        module: &'a ModuleName,
        provider: &'a str,
        config: &'a OAuthProvider,
    ) -> BoxFuture<'a, Result<Secret, CredentialsError>> {
        Box::pin(async move {
            let stopped = || CredentialsError::Unavailable("the hub ends".to_owned());
            let (oauth, config) = (self.this.upgrade().ok_or_else(stopped)?, config.clone());
            let place = (module.clone(), provider.to_owned());
            // In a task of its own: whoever asked may hang up while the provider has given a new refresh token, and the
            // hub has not kept it yet.
            let asked = self.tasks.spawn(async move { oauth.good_token(place, Some(&config)).await });
            asked.await.unwrap_or_else(|_| Err(stopped()))
        })
    }
}

impl OAuth {
    /// Loads all tokens, so that a file that is not as it should be is found before it is needed, and from then on
    /// refreshes each before its end, one after the other. Ends with the hub.
    pub async fn keep_fresh(self: Arc<Self>) {
        match self.kept.places().await {
            Ok(places) => {
                for place in places {
                    let entry = self.entry(&place);
                    let mut held = entry.held.lock().await;
                    if let Err(error) = self.load_tokens(&place, &entry, &mut held).await {
                        tracing::warn!(module = %place.0, provider = place.1, %error, "a token was not loaded");
                    }
                }
            }
            Err(error) => {
                self.audit.record("vault_unreadable", "core", "the vault's directory");
                tracing::error!(error = &error as &dyn std::error::Error, "the vault cannot be listed");
            }
        }
        loop {
            let next = self.next_due();
            let due = async {
                match next.as_ref() {
                    Some((_, at)) => sleep_until(*at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = self.earlier.notified() => {}
                () = due => if let Some((place, _)) = next {
                    // What came of it is in the log and the audit; the next time is set.
                    let config = self.providers.provider(&place.0, &place.1);
                    let _outcome = self.good_token(place, config.as_ref()).await;
                },
            }
        }
    }

    fn next_due(&self) -> Option<(Place, Instant)> {
        let entries = self.entries.lock().expect("nothing panics while it holds the tokens");
        let due = |(place, entry): (&Place, &Arc<Entry>)| {
            let at = *entry.due.lock().expect("nothing panics while it holds the time");
            Some((place.clone(), at?))
        };
        entries.iter().filter_map(due).min_by_key(|(_, at)| *at)
    }

    pub(super) fn entry(&self, place: &Place) -> Arc<Entry> {
        let mut entries = self.entries.lock().expect("nothing panics while it holds the tokens");
        let new = || {
            let held = tokio::sync::Mutex::default();
            Arc::new(Entry { held, gone: CancellationToken::new(), due: Mutex::default() })
        };
        entries.entry(place.clone()).or_insert_with(new).clone()
    }

    /// Puts tokens into memory, or says that there are none.
    pub(super) fn hold(&self, entry: &Entry, held: &mut Held, tokens: Option<Tokens>) {
        *held = Held { loaded: true, tokens, ..Held::default() };
        self.reschedule(entry, held);
    }

    /// Sets when the keeper looks at it next: never in the past, so that it never spins.
    fn reschedule(&self, entry: &Entry, held: &Held) {
        let soon = Instant::now() + KEEPER_PAUSE;
        let wanted = match held.retry {
            _ if held.unsaved => Some(soon),
            Some((_, until)) => Some(until),
            None => held.tokens.as_ref().and_then(Tokens::refresh_at),
        };
        self.set_due(entry, wanted.map(|at| at.max(soon)));
    }

    fn set_due(&self, entry: &Entry, at: Option<Instant>) {
        *entry.due.lock().expect("nothing panics while it holds the time") = at;
        self.earlier.notify_one();
    }

    async fn load_tokens(&self, place: &Place, entry: &Entry, held: &mut Held) -> Result<(), CredentialsError> {
        if held.loaded {
            return Ok(());
        }
        match self.kept.read(&place.0, &place.1).await {
            Ok(secret) => {
                self.hold(entry, held, secret.as_ref().and_then(Tokens::of));
                Ok(())
            }
            Err(error) => match error.lost() {
                Some(event) => {
                    // An alarm: somebody or something changed the vault (S01, S05, S09).
                    tracing::error!(module = %place.0, provider = place.1, error = &error as &dyn std::error::Error, "a secret is lost");
                    self.record(event, place, &error.to_string());
                    self.hold(entry, held, None);
                    self.signed_out(place, "its secret is lost").await;
                    Err(CredentialsError::None)
                }
                None => {
                    tracing::warn!(module = %place.0, provider = place.1, error = &error as &dyn std::error::Error, "a secret cannot be read");
                    Err(CredentialsError::Unavailable("the vault cannot be read".to_owned()))
                }
            },
        }
    }

    pub(super) async fn reload(&self, place: &Place) {
        let entry = self.entry(place);
        let mut held = entry.held.lock().await;
        *held = Held::default();
        if let Err(error) = self.load_tokens(place, &entry, &mut held).await {
            tracing::warn!(module = %place.0, provider = place.1, %error, "a token was not loaded");
        }
    }

    async fn good_token(&self, place: Place, config: Option<&OAuthProvider>) -> Result<Secret, CredentialsError> {
        let entry = self.entry(&place);
        let mut held = entry.held.lock().await;
        let token = self.good_token_of(&place, &entry, &mut held, config).await;
        self.reschedule(&entry, &held);
        token
    }

    async fn good_token_of(
        &self,
        place: &Place,
        entry: &Entry,
        held: &mut Held,
        config: Option<&OAuthProvider>,
    ) -> Result<Secret, CredentialsError> {
        self.load_tokens(place, entry, held).await?;
        self.save_unsaved(place, held).await;
        let (Some(config), Some(tokens)) = (config, &held.tokens) else { return Err(CredentialsError::None) };
        if tokens.rights != rights(config) {
            // They were granted for something else; whoever changed that deletes them.
            return Err(CredentialsError::None);
        }
        let now = Instant::now();
        let waits = held.retry.is_some_and(|(_, until)| now < until);
        let mut failure = "the last refresh failed; it is tried again later".to_owned();
        if !waits && tokens.refresh_at().is_some_and(|at| at <= now) {
            match self.refresh(place, entry, held, config).await {
                Refreshed::Done => {}
                Refreshed::SignedOut => return Err(CredentialsError::None),
                Refreshed::Failed(why) => {
                    self.retry_later(place, held, &why);
                    failure = why;
                }
            }
        }
        match &held.tokens {
            Some(tokens) if !tokens.has_ended(Instant::now()) => Ok(Secret::new(tokens.access.expose().to_owned())),
            Some(tokens) if tokens.refresh.is_none() => {
                self.drop_refused(place, entry, held, "its token has ended and cannot be refreshed").await;
                Err(CredentialsError::None)
            }
            Some(_) => Err(CredentialsError::Unavailable(failure)),
            None => Err(CredentialsError::None),
        }
    }

    fn retry_later(&self, place: &Place, held: &mut Held, why: &str) {
        let wait = held.retry.map_or(RETRY.0, |(wait, _)| (wait * 2).min(RETRY.1));
        held.retry = Some((wait, Instant::now() + wait));
        self.record("oauth_refresh_failed", place, why);
    }

    /// Refreshes with the newest refresh token, and with the one before if the provider does not take it (O08).
    async fn refresh(&self, place: &Place, entry: &Entry, held: &mut Held, config: &OAuthProvider) -> Refreshed {
        let copy = |token: &Secret| Secret::new(token.expose().to_owned());
        let candidates: Vec<Secret> = match &held.tokens {
            Some(tokens) => tokens.refresh.iter().chain(&tokens.previous).map(copy).collect(),
            None => Vec::new(),
        };
        for token in candidates {
            let answer = tokio::select! {
                answer = exchange::refresh(&*self.https, config, token.expose()) => answer,
                () = entry.gone.cancelled() => return Refreshed::SignedOut,
            };
            match answer.map(grant::read) {
                Ok(TokenAnswer::Granted(grant)) => {
                    let tokens = Tokens::granted(grant, rights(config), Some(token));
                    self.keep_refreshed(place, entry, held, tokens).await;
                    return Refreshed::Done;
                }
                Ok(TokenAnswer::InvalidGrant | TokenAnswer::Expired | TokenAnswer::Denied) => {}
                Ok(TokenAnswer::Refused(why)) => return Refreshed::Failed(why.to_owned()),
                Ok(_) => return Refreshed::Failed("the provider is busy".to_owned()),
                Err(error) => {
                    tracing::warn!(module = %place.0, provider = place.1, error = &error as &dyn std::error::Error, "a token was not refreshed");
                    return Refreshed::Failed(error.to_string());
                }
            }
        }
        self.drop_refused(place, entry, held, "the provider does not refresh its token any more").await;
        Refreshed::SignedOut
    }

    /// Makes refreshed tokens durable. They are used also if that fails: the ones before are of no use any more.
    async fn keep_refreshed(&self, place: &Place, entry: &Entry, held: &mut Held, tokens: Tokens) {
        self.hold(entry, held, Some(tokens));
        held.unsaved = true;
        self.save_unsaved(place, held).await;
    }

    async fn save_unsaved(&self, place: &Place, held: &mut Held) {
        let Some(tokens) = held.tokens.as_ref().filter(|_| held.unsaved) else { return };
        match self.kept.write(&place.0, &place.1, tokens.to_secret(), |_| Ok(())).await {
            Ok(()) => held.unsaved = false,
            Err(error) => {
                tracing::error!(module = %place.0, provider = place.1, error = &error as &dyn std::error::Error, "a refreshed token was not stored; tried again");
                self.record("oauth_not_stored", place, ApiError::from(error).code());
            }
        }
    }

    async fn drop_refused(&self, place: &Place, entry: &Entry, held: &mut Held, why: &str) {
        if let Err(error) = self.kept.delete(&place.0, &place.1).await {
            tracing::warn!(module = %place.0, provider = place.1, error = &error as &dyn std::error::Error, "a token that is no longer good was not deleted");
        }
        self.hold(entry, held, None);
        self.signed_out(place, why).await;
    }

    /// What the tokens of a place were granted for, if there are any.
    pub(super) async fn granted_for(&self, place: &Place) -> Option<String> {
        let entry = self.entry(place);
        let mut held = entry.held.lock().await;
        self.load_tokens(place, &entry, &mut held).await.ok()?;
        held.tokens.as_ref().map(|tokens| tokens.rights.clone())
    }

    /// The tokens of a place, taken out of memory or, if they were never loaded, of the vault.
    pub(super) async fn take_tokens(&self, place: &Place) -> Option<Tokens> {
        let entry = self.entries.lock().expect("nothing panics while it holds the tokens").remove(place);
        let held = match &entry {
            Some(entry) => {
                entry.gone.cancel();
                let mut held = entry.held.lock().await;
                std::mem::take(&mut *held)
            }
            None => Held::default(),
        };
        if held.loaded {
            return held.tokens;
        }
        self.kept.read(&place.0, &place.1).await.ok().flatten().as_ref().and_then(Tokens::of)
    }
}
