//! A provider that answers as a test wants.

use std::sync::Mutex;

use futures_util::future::BoxFuture;
use selena_core::ports::{Https, HttpsAnswer, HttpsError, HttpsRequest};
use selena_types::OAuthProvider;
use serde_json::{Value, json};

/// What the token endpoint gives for a good grant, once for each request; the last one again and again.
#[derive(Debug, Default)]
struct State {
    asked: Vec<(String, String)>,
    decision: Vec<Value>,
    refresh: Vec<Value>,
}

/// The provider.
#[derive(Debug, Default)]
pub(crate) struct Provider {
    state: Mutex<State>,
    /// A refresh is answered only when this is free.
    pub(crate) gate: tokio::sync::Mutex<()>,
}

/// What a manifest says of it.
pub(crate) fn config() -> OAuthProvider {
    OAuthProvider {
        device_authorization_url: "https://acme.example/device".to_owned(),
        token_url: "https://acme.example/token".to_owned(),
        revocation_url: Some("https://acme.example/revoke".to_owned()),
        client_id: "hub".to_owned(),
        client_secret: None,
        scopes: vec!["read".to_owned(), "write".to_owned()],
        api_hosts: vec!["api.acme.example".to_owned()],
    }
}

/// A good answer of the token endpoint.
pub(crate) fn tokens(access: &str, refresh: &str, lifetime_secs: u64) -> Value {
    json!({ "access_token": access, "token_type": "Bearer", "refresh_token": refresh, "expires_in": lifetime_secs })
}

pub(crate) fn error(code: &str) -> Value {
    json!({ "error": code })
}

impl Provider {
    /// What it answers when the hub asks after the person's decision.
    pub(crate) fn decides(&self, answers: &[Value]) {
        self.state.lock().unwrap().decision = answers.to_vec();
    }

    /// What it answers to refreshes.
    pub(crate) fn refreshes(&self, answers: &[Value]) {
        self.state.lock().unwrap().refresh = answers.to_vec();
    }

    /// The forms that were sent to a path.
    pub(crate) fn asked(&self, path: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let url = format!("https://acme.example{path}");
        state.asked.iter().filter(|(asked, _)| *asked == url).map(|(_, form)| form.clone()).collect()
    }

    /// The forms of refreshes.
    pub(crate) fn refreshed(&self) -> Vec<String> {
        self.asked("/token").into_iter().filter(|form| form.contains("grant_type=refresh_token")).collect()
    }

    fn answer(&self, path: &str, form: &str) -> Value {
        let next = |answers: &mut Vec<Value>| {
            if answers.len() > 1 { answers.remove(0) } else { answers.first().cloned().unwrap_or(Value::Null) }
        };
        let mut state = self.state.lock().unwrap();
        match path {
            "/device" => json!({
                "device_code": "canary-device-code", "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 1,
                "verification_uri": "https://acme.example/activate",
                "verification_uri_complete": "https://acme.example/activate?code=WDJB-MJHT",
            }),
            "/token" if form.contains("grant_type=refresh_token") => next(&mut state.refresh),
            "/token" => next(&mut state.decision),
            _ => json!({}),
        }
    }
}

impl Https for Provider {
    fn send(&self, request: HttpsRequest) -> BoxFuture<'_, Result<HttpsAnswer, HttpsError>> {
        Box::pin(async move {
            let form = String::from_utf8(request.body).unwrap();
            self.state.lock().unwrap().asked.push((request.url.clone(), form.clone()));
            if form.contains("grant_type=refresh_token") {
                let _free = self.gate.lock().await;
            }
            let path = request.url.strip_prefix("https://acme.example").unwrap();
            let answer = self.answer(path, &form);
            if answer.is_null() {
                return Err(HttpsError::Timeout { host: "acme.example".to_owned() });
            }
            let status = if answer.get("error").is_some() { 400 } else { 200 };
            Ok(HttpsAnswer { status, headers: Vec::new(), body: answer.to_string().into_bytes() })
        })
    }
}
