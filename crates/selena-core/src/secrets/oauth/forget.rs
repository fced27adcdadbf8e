//! Forgetting: a module that is removed, or a provider that an update changed, leaves no token behind.

use std::{collections::BTreeMap, sync::Arc};

use selena_types::{ModuleName, OAuthProvider};

use super::{OAuth, Place, exchange, rights, tokens::Tokens};
use crate::{ApiError, transact::write};

impl OAuth {
    /// Deletes all sign-ins and tokens of a module, and tells its providers, as its manifest names them, to revoke them.
    /// The providers are told in the background: whether they can be reached holds nothing up.
    ///
    /// # Errors
    /// What could not be deleted; then it is to be tried again.
    pub async fn forget_module(
        self: &Arc<Self>,
        module: &ModuleName,
        providers: &BTreeMap<String, OAuthProvider>,
    ) -> Result<(), ApiError> {
        for place in self.places_of(module).await? {
            self.forget(place.clone(), providers.get(&place.1)).await?;
        }
        Ok(self.kept.delete_module(module).await?)
    }

    /// After an update: deletes what was granted for a provider that the new manifest drops or describes otherwise.
    ///
    /// # Errors
    /// What could not be deleted. It is not used in any case: it is bound to what the old manifest said.
    pub async fn forget_changed(
        self: &Arc<Self>,
        module: &ModuleName,
        before: &BTreeMap<String, OAuthProvider>,
        now: &BTreeMap<String, OAuthProvider>,
    ) -> Result<(), ApiError> {
        for place in self.places_of(module).await? {
            let wanted = now.get(&place.1).map(rights);
            let begun = self.sessions.lock().expect("nothing panics while it holds the sign-ins").get(&place).cloned();
            let begun_for = begun.map(|known| known.rights);
            let granted_for = self.granted_for(&place).await;
            if [begun_for, granted_for].into_iter().flatten().any(|rights| Some(rights) != wanted) {
                self.forget(place.clone(), before.get(&place.1)).await?;
            }
        }
        Ok(())
    }

    /// What is in memory of a module's tokens is read again: others were put into the vault.
    ///
    /// # Errors
    /// If the vault cannot be listed.
    pub(crate) async fn look_again(&self, module: &ModuleName) -> Result<(), ApiError> {
        for place in self.places_of(module).await? {
            self.reload(&place).await;
        }
        Ok(())
    }

    /// Every place of a module of which anything is known.
    async fn places_of(&self, module: &ModuleName) -> Result<Vec<Place>, ApiError> {
        let mut places = self.kept.places().await?;
        places.extend(self.sessions.lock().expect("nothing panics while it holds the sign-ins").keys().cloned());
        places.extend(self.entries.lock().expect("nothing panics while it holds the tokens").keys().cloned());
        places.retain(|place| place.0 == *module);
        places.sort();
        places.dedup();
        Ok(places)
    }

    async fn forget(self: &Arc<Self>, place: Place, provider: Option<&OAuthProvider>) -> Result<(), ApiError> {
        self.end_polling(&place).await;
        let tokens = self.take_tokens(&place).await;
        self.kept.delete(&place.0, &place.1).await?;
        let at = place.clone();
        write(&self.kept.store, move |tx| Ok(tx.delete_oauth_session(&at.0, &at.1)?)).await?;
        let Some(tokens) = tokens else { return Ok(()) };
        self.record("oauth_forgotten", &place, "its tokens were deleted");
        // What was granted under another description of the provider may be another one's token.
        let revoke = provider.filter(|provider| rights(provider) == tokens.rights && provider.revocation_url.is_some());
        if let Some(provider) = revoke.cloned() {
            let oauth = self.clone();
            self.tasks.spawn(async move { oauth.revoke(&place, &provider, &tokens).await });
        }
        Ok(())
    }

    /// Tells the provider once (RFC 7009). Revoking the refresh token revokes what came of it, where there is one.
    async fn revoke(&self, place: &Place, provider: &OAuthProvider, tokens: &Tokens) {
        let Some(url) = &provider.revocation_url else { return };
        let (token, hint) = match &tokens.refresh {
            Some(refresh) => (refresh, "refresh_token"),
            None => (&tokens.access, "access_token"),
        };
        let fields = [("token", token.expose()), ("token_type_hint", hint)];
        let told = exchange::send(&*self.https, provider, url, &fields);
        let outcome = tokio::select! {
            outcome = told => outcome,
            () = self.shutdown.cancelled() => return self.record("oauth_not_revoked", place, "the hub ended"),
        };
        match outcome {
            Ok(answer) if answer.status == 200 => self.record("oauth_revoked", place, "the provider revoked its token"),
            Ok(answer) => self.record("oauth_not_revoked", place, &format!("the provider answered {}", answer.status)),
            Err(error) => self.record("oauth_not_revoked", place, &error.to_string()),
        }
    }
}
