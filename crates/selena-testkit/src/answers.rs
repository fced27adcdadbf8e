//! Asking the module, as the hub does: pages, health, webhooks (protocol, sections 2, 6 and 7).

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use selena_core::ports::{CallError, ModuleAddress, ModuleRequest};
use selena_types::{Event, EventType};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use crate::{FakeHub, expectations::DEADLINE, signed::signature};

/// How long a module may take to answer; of a command, the protocol's own figure.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer that is read: a page's.
const MAX_ANSWER_BYTES: usize = 5 * 1024 * 1024;
/// How often the health of a module that is starting is asked for.
const HEALTH_PERIOD: Duration = Duration::from_millis(20);

/// What the module answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleAnswer {
    /// The status.
    pub status: u16,
    /// The body, whole.
    pub body: Bytes,
}

impl ModuleAnswer {
    /// The body as text.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the module answers text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("the module answers no JSON: {error}"))
    }
}

impl FakeHub {
    /// `GET` of a page or of `/health`, inside the module's namespace.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn get(&self, path: &str) -> ModuleAnswer {
        self.ask(path, &[], None).await.unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Waits until the module answers `GET /health` with 200, as a hub does at a start.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn expect_healthy(&self) {
        let healthy = async {
            let mut tick = interval(HEALTH_PERIOD);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                if self.ask("/health", &[], None).await.is_ok_and(|answer| answer.status == 200) {
                    return;
                }
            }
        };
        assert!(timeout(DEADLINE, healthy).await.is_ok(), "the module does not answer GET /health with 200");
    }

    /// Sends a command, signed, and gives the module's answer.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn command(&self, name: &str, args: Value) -> ModuleAnswer {
        self.command_with_id(Uuid::new_v4(), name, args).await
    }

    /// Sends a command under an id of the test's own, such as one that was used before.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn command_with_id(&self, id: Uuid, name: &str, args: Value) -> ModuleAnswer {
        let body = json!({ "id": id, "command": name, "args": args, "timestamp": Timestamp::now() }).to_string();
        self.post("/webhook/commands", body, self.guest.webhook_secret.expose()).await
    }

    /// Delivers an event once more, signed: delivery is at least once. Gives the status.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn deliver_again(&self, event: &Event) -> u16 {
        let body = serde_json::to_string(event).expect("an event is JSON");
        self.post("/webhook/events", body, self.guest.webhook_secret.expose()).await.status
    }

    /// Delivers an event that the hub did not sign; gives the status, which has to be 401.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn bad_signature_event(&self, event_type: &str, payload: Value) -> u16 {
        let id = Uuid::new_v4();
        let event = Event {
            id,
            event_id: id,
            seq: 1,
            event_type: EventType::new(event_type).expect("an event type"),
            source: "somebody".to_owned(),
            timestamp: Timestamp::now(),
            payload,
        };
        let body = serde_json::to_string(&event).expect("an event is JSON");
        self.post("/webhook/events", body, "another secret").await.status
    }

    async fn post(&self, path: &str, body: String, secret: &str) -> ModuleAnswer {
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("x-selena-signature", signature(secret, body.as_bytes())),
            ("x-selena-timestamp", Timestamp::now().as_second().to_string()),
            ("x-selena-delivery", "1".to_owned()),
        ];
        let answer = self.ask(path, &headers, Some(body.into())).await;
        answer.unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    async fn ask(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
        body: Option<Bytes>,
    ) -> Result<ModuleAnswer, CallError> {
        let address = ModuleAddress::Run { run: self.guest.run_id().clone(), port: self.guest.port.get() };
        let request =
            ModuleRequest { path, headers, body, timeout: ANSWER_TIMEOUT, max_answer_bytes: MAX_ANSWER_BYTES };
        let answer = self.parts.calls.call(&address, request).await?;
        let body = answer.body.unwrap_or_else(|| panic!("the answer to {path} is longer than 5 MiB or broke off"));
        Ok(ModuleAnswer { status: answer.status, body })
    }
}
