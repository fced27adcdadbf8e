//! Signing in: begun by a module, decided by a person at the provider (RFC 8628).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use selena_types::{ModuleName, OAuthProvider, Problems, Secret, fields::Object};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Known, NO_PROVIDER, OAuth, Place, device, exchange,
    grant::Grant,
    pace::Pace,
    poll::{self, News},
    qr, rights,
    session::{Session, Status},
    tokens::Tokens,
};
use crate::{
    ApiError,
    ports::HttpsError,
    token::new_token,
    transact::{read, write},
};

impl OAuth {
    /// `POST /secrets/oauth/start {"provider","scopes"}` of a module whose manifest names these providers: asks the provider for codes, and begins to poll.
    /// A sign-in of the same module and provider that was begun before is dropped; its tokens are used until the new ones.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] for scopes the manifest does not name, [`ApiError::NotFound`] for such a provider,
    /// [`ApiError::Upstream`] if the provider does not answer, or not as it should.
    pub async fn start(
        self: &Arc<Self>,
        module: &ModuleName,
        providers: &BTreeMap<String, OAuthProvider>,
        body: &Value,
    ) -> Result<Value, ApiError> {
        let mut problems = Problems::default();
        let mut object = Object::body(body, &mut problems);
        let (name, asked) = (object.text("provider", 1..=64), object.optional_list("scopes"));
        let Some(name) = name.filter(|_| problems.is_empty()) else { return Err(problems.into()) };
        let provider = providers.get(&name).ok_or(NO_PROVIDER)?;
        let scopes = scopes(provider, asked)?;
        let place = (module.clone(), name);
        let _one_at_a_time = Starting::begin(self, &place)?;
        let authorization = self.authorize(provider, &scopes).await?;
        let uri = authorization.verification_uri_complete.as_ref().unwrap_or(&authorization.verification_uri);
        let picture = qr::data_url(uri).ok_or(ApiError::Unavailable("a QR code of the provider's page"))?;
        let session = Session {
            id: Uuid::new_v4().to_string(),
            status: Status::Pending,
            rights: rights(provider),
            started_at: Timestamp::now().as_second(),
            expires_secs: authorization.expires_secs,
            interval_secs: authorization.interval_secs,
            device_code: Some(authorization.device_code),
        };
        let mut answer = json!({
            "device_code": new_token()?.expose(),
            "user_code": authorization.user_code,
            "verification_url": authorization.verification_uri,
            "expires_in": session.expires_secs,
            "interval": session.interval_secs,
            "session_id": session.id,
            "qr_data_url": picture,
        });
        if let Some(complete) = authorization.verification_uri_complete {
            answer["verification_uri_complete"] = json!(complete);
        }
        // The module may have been removed while the provider answered.
        self.providers.provider(module, &place.1).ok_or(NO_PROVIDER)?;
        self.end_polling(&place).await;
        self.save(&place, &session).await?;
        self.record("oauth_started", &place, &format!("scopes {}", scopes.join(" ")));
        self.follow(place, session, Some(provider.clone()));
        Ok(answer)
    }

    async fn authorize(&self, provider: &OAuthProvider, scopes: &[String]) -> Result<device::Authorization, ApiError> {
        let url = &provider.device_authorization_url;
        let scope = scopes.join(" ");
        let fields: &[_] = if scope.is_empty() { &[] } else { &[("scope", scope.as_str())] };
        let answer = exchange::send(&*self.https, provider, url, fields).await.map_err(unreachable)?;
        device::read(provider, answer).map_err(|why| {
            let detail = format!("the provider did not begin to sign in: {why}");
            ApiError::Upstream { code: "oauth_provider", detail }
        })
    }

    /// The sign-ins of an earlier run of the hub.
    pub(super) async fn load_sessions(self: &Arc<Self>) -> Result<(), ApiError> {
        for (module, name, sealed) in read(&self.kept.store, |rows| rows.oauth_sessions()).await? {
            let session = Session::open(&*self.sealer, &module, &name, &sealed);
            let place = (module, name);
            match session {
                Some(session) => {
                    let config = self.providers.provider(&place.0, &place.1);
                    let config = config.filter(|config| rights(config) == session.rights);
                    self.follow(place, session, config);
                }
                // Its key is gone, or it was changed: there is nothing to go on with (S04).
                None => self.record("secret_corrupt", &place, "the sign-in does not open; it has to be begun again"),
            }
        }
        Ok(())
    }

    /// Before anything else writes them (faults, W05).
    pub(super) async fn seal_sessions_again(&self) -> Result<(), ApiError> {
        for (module, name, sealed) in read(&self.kept.store, |rows| rows.oauth_sessions()).await? {
            if let Some(session) = Session::open(&*self.sealer, &module, &name, &sealed) {
                self.save(&(module, name), &session).await?;
            }
        }
        Ok(())
    }

    /// Makes a stored sign-in the one that is known, and polls if it is pending.
    fn follow(self: &Arc<Self>, place: Place, session: Session, config: Option<OAuthProvider>) {
        let known = Known {
            id: session.id.clone(),
            status: session.status,
            rights: session.rights.clone(),
            cancel: self.shutdown.child_token(),
            ended: CancellationToken::new(),
        };
        let (cancel, ended) = (known.cancel.clone(), known.ended.clone().drop_guard());
        self.sessions.lock().expect("nothing panics while it holds the sign-ins").insert(place.clone(), known);
        if session.status == Status::Pending {
            let oauth = self.clone();
            self.tasks.spawn(async move {
                let _ended = ended;
                oauth.decide(place, session, config, cancel).await;
            });
        }
    }

    /// Forgets the sign-in of a place, and waits until nothing is written for it any more.
    pub(super) async fn end_polling(&self, place: &Place) {
        let known = self.sessions.lock().expect("nothing panics while it holds the sign-ins").remove(place);
        if let Some(known) = known {
            known.cancel.cancel();
            known.ended.cancelled().await;
        }
    }

    async fn decide(
        &self,
        place: Place,
        mut session: Session,
        config: Option<OAuthProvider>,
        cancel: CancellationToken,
    ) {
        let Some(device_code) = session.device_code.take() else { return };
        let id = session.id.clone();
        let decision = tokio::select! {
            decision = self.poll(&place, &session, config, &device_code) => decision,
            () = cancel.cancelled() => return,
        };
        // From here on it is not cut off: a token that was given once is given once.
        let outcome = match decision {
            News::Granted(grant) => self.granted(&place, &session, grant, &cancel).await,
            News::Denied => self.ended(&place, session, Status::Denied, "the person refused").await,
            News::Expired => self.ended(&place, session, Status::Expired, "nobody agreed in time").await,
            News::Slower => return,
            News::Failed(why) => {
                tracing::warn!(module = %place.0, provider = place.1, why, "signing in failed");
                self.ended(&place, session, Status::Denied, &format!("the provider failed: {why}")).await
            }
        };
        if let Err(error) = outcome {
            tracing::error!(module = %place.0, provider = place.1, error = &error as &dyn std::error::Error, "the end of a sign-in was not stored");
            self.record("oauth_not_stored", &place, error.code());
            self.set_status(&place, &id, Status::Denied);
        }
    }

    async fn poll(
        &self,
        place: &Place,
        session: &Session,
        config: Option<OAuthProvider>,
        device_code: &Secret,
    ) -> News {
        let Some(provider) = config else {
            return News::Failed("the manifest says something else of it now".to_owned());
        };
        let remaining = Duration::from_secs(session.remaining_secs(Timestamp::now()));
        let (mut pace, deadline) = (Pace::new(session.interval_secs), Instant::now() + remaining);
        loop {
            match poll::until_news(&*self.https, &provider, device_code, &mut pace, deadline).await {
                News::Slower => self.save_interval(place, session, device_code, pace.interval_secs()).await,
                decision => return decision,
            }
        }
    }

    async fn save_interval(&self, place: &Place, session: &Session, device_code: &Secret, interval_secs: u64) {
        let slowed = Session {
            id: session.id.clone(),
            rights: session.rights.clone(),
            device_code: Some(Secret::new(device_code.expose().to_owned())),
            interval_secs,
            ..*session
        };
        if let Err(error) = self.save(place, &slowed).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a longer interval was not stored");
        }
    }

    /// Stores the tokens, the end of the sign-in and the event that says so; the latter two in one transaction.
    async fn granted(
        &self,
        place: &Place,
        session: &Session,
        grant: Grant,
        cancel: &CancellationToken,
    ) -> Result<(), ApiError> {
        let entry = self.entry(place);
        let mut held = entry.held.lock().await;
        if cancel.is_cancelled() && !self.shutdown.is_cancelled() {
            // It was removed, or begun anew, while the provider answered.
            return Ok(());
        }
        let tokens = Tokens::granted(grant, session.rights.clone(), None);
        let completed = Session {
            id: session.id.clone(),
            rights: session.rights.clone(),
            status: Status::Completed,
            device_code: None,
            ..*session
        };
        let sealed = completed.seal(&*self.sealer, &place.0, &place.1).map_err(ApiError::internal)?;
        let ((module, provider), at) = (place.clone(), place.clone());
        let with_it = move |tx: &mut dyn crate::ports::Tx| {
            tx.put_oauth_session(&at.0, &at.1, &sealed)?;
            let payload = json!({ "module": at.0, "provider": at.1 });
            crate::api::append(tx, "core.oauth.completed", "core", payload).map(|_| ())
        };
        self.kept.write(&module, &provider, tokens.to_secret(), with_it).await?;
        self.hold(&entry, &mut held, Some(tokens));
        self.set_status(place, &session.id, Status::Completed);
        self.record("oauth_completed", place, "the person agreed");
        Ok(())
    }

    /// Stores that a sign-in ended without tokens, and tells those who may hear of it (O04).
    async fn ended(&self, place: &Place, session: Session, status: Status, why: &str) -> Result<(), ApiError> {
        self.set_status(place, &session.id, status);
        self.record(if status == Status::Expired { "oauth_expired" } else { "oauth_denied" }, place, why);
        let ended = Session { status, device_code: None, ..session };
        let sealed = ended.seal(&*self.sealer, &place.0, &place.1).map_err(ApiError::internal)?;
        let (at, event_type) =
            (place.clone(), if status == Status::Expired { "core.oauth.expired" } else { "core.oauth.denied" });
        write(&self.kept.store, move |tx| {
            tx.put_oauth_session(&at.0, &at.1, &sealed)?;
            let payload = json!({ "module": at.0, "provider": at.1 });
            crate::api::append(tx, event_type, "core", payload).map(|_| ())
        })
        .await
    }

    /// Says of the tokens of a completed sign-in that they are no longer good: the person has to agree again.
    pub(super) async fn signed_out(&self, place: &Place, why: &str) {
        let known = self.sessions.lock().expect("nothing panics while it holds the sign-ins").get(place).cloned();
        let Some(known) = known.filter(|known| known.status == Status::Completed) else { return };
        let session = Session {
            id: known.id,
            status: Status::Expired,
            rights: known.rights,
            started_at: Timestamp::now().as_second(),
            expires_secs: 0,
            interval_secs: 0,
            device_code: None,
        };
        if let Err(error) = self.ended(place, session, Status::Expired, why).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the end of a sign-in was not stored");
        }
    }

    fn set_status(&self, place: &Place, id: &str, status: Status) {
        let mut sessions = self.sessions.lock().expect("nothing panics while it holds the sign-ins");
        if let Some(known) = sessions.get_mut(place).filter(|known| known.id == id) {
            known.status = status;
        }
    }

    async fn save(&self, place: &Place, session: &Session) -> Result<(), ApiError> {
        let sealed = session.seal(&*self.sealer, &place.0, &place.1).map_err(ApiError::internal)?;
        let (module, provider) = place.clone();
        write(&self.kept.store, move |tx| Ok(tx.put_oauth_session(&module, &provider, &sealed)?)).await
    }
}

/// While it lives, no other sign-in of the place is begun: a module cannot make the hub flood a provider.
struct Starting<'a> {
    oauth: &'a OAuth,
    place: Place,
}

impl<'a> Starting<'a> {
    fn begin(oauth: &'a OAuth, place: &Place) -> Result<Self, ApiError> {
        let mut starting = oauth.starting.lock().expect("nothing panics while it holds the places");
        if starting.insert(place.clone()) {
            return Ok(Self { oauth, place: place.clone() });
        }
        let detail = "this sign-in is being begun already: wait for that answer".to_owned();
        Err(ApiError::Conflict { code: "oauth_busy", detail })
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.oauth.starting.lock().expect("nothing panics while it holds the places").remove(&self.place);
    }
}

/// The scopes to ask for: all of the manifest's if none were named, never others.
fn scopes(provider: &OAuthProvider, asked: Option<Vec<Value>>) -> Result<Vec<String>, ApiError> {
    let Some(asked) = asked else { return Ok(provider.scopes.clone()) };
    let mut problems = Problems::default();
    let mut scopes = Vec::new();
    for (place, scope) in asked.iter().enumerate() {
        match provider.scopes.iter().find(|known| scope.as_str() == Some(known)) {
            Some(scope) if !scopes.contains(scope) => scopes.push(scope.clone()),
            Some(_) => {}
            None => {
                let must = format!("must be one of the manifest's scopes: {}", provider.scopes.join(" "));
                problems.add(["body".into(), "scopes".into(), place.into()], "scope", must);
            }
        }
    }
    if problems.is_empty() { Ok(scopes) } else { Err(problems.into()) }
}

fn unreachable(error: HttpsError) -> ApiError {
    tracing::warn!(error = &error as &dyn std::error::Error, "a provider cannot be reached");
    ApiError::Upstream { code: "oauth_unreachable", detail: format!("the provider cannot be asked: {error}") }
}
