//! A running module with the probe in it.

use std::{collections::HashMap, net::TcpStream};

use serde_json::{Value, json};

use crate::{Client, Door, Engine, http::Request, namespace, wait};

/// The port of the core in a module's namespace.
const CORE: u16 = 7070;

/// One start of a module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Id of its container.
    pub container: String,
    pid: i64,
    port: u16,
}

/// A webhook as the probe got it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its headers, with names in lower case.
    pub headers: HashMap<String, String>,
    /// Its raw body.
    pub body: String,
}

impl Heard {
    /// The event.
    #[must_use]
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

impl Module {
    /// The container of that name, if it runs.
    pub(crate) fn try_find(engine: &Engine, container: &str) -> Option<Self> {
        let found = engine.inspect(container);
        if found["State"]["Running"] != true {
            return None;
        }
        let port = found["Config"]["Labels"]["selena.port"].as_str()?.parse().ok()?;
        Some(Self { container: found["Id"].as_str()?.to_owned(), pid: found["State"]["Pid"].as_i64()?, port })
    }

    /// The module's own API, from inside its namespace.
    #[must_use]
    pub fn probe(&self) -> Client {
        Client::new(Door::Namespace { pid: self.pid, port: self.port }, "localhost", "")
    }

    /// Any port in its namespace.
    #[must_use]
    pub fn door(&self, port: u16) -> Door {
        Door::Namespace { pid: self.pid, port }
    }

    /// A connection to a port in its namespace that says nothing; it is closed when dropped.
    ///
    /// # Panics
    /// If there is no connection.
    #[must_use]
    #[track_caller]
    pub fn idle_connection(&self, port: u16) -> TcpStream {
        namespace::connect(self.pid, port).expect("the port takes connections")
    }

    /// The core as this module sees it, without a token.
    #[must_use]
    pub fn core_without_token(&self) -> Client {
        Client::new(self.door(CORE), "localhost:7070", "/api/v1")
    }

    /// The core as this module sees it, with the module's token.
    #[must_use]
    #[track_caller]
    pub fn core(&self) -> Client {
        self.core_without_token().with_token(&self.token())
    }

    /// Asks the probe to do something, and gives what it saw.
    #[track_caller]
    pub fn act(&self, arguments: &Value) -> Value {
        self.probe().post("/act", arguments).expect(200).json()
    }

    /// Asks the probe to misbehave.
    #[track_caller]
    pub fn misbehave(&self, arguments: &Value) {
        // It may be gone before it has answered.
        let _answer = self.probe().try_send(&Request::new("POST", "/act").json(arguments));
    }

    /// A variable of its environment.
    #[must_use]
    #[track_caller]
    pub fn variable(&self, name: &str) -> String {
        self.act(&json!({ "act": "environment" }))[name].as_str().unwrap_or_default().to_owned()
    }

    /// Its token.
    #[must_use]
    #[track_caller]
    pub fn token(&self) -> String {
        self.variable("SELENA_MODULE_TOKEN")
    }

    /// The key of its webhooks.
    #[must_use]
    #[track_caller]
    pub fn webhook_secret(&self) -> String {
        self.variable("SELENA_WEBHOOK_SECRET")
    }

    /// The webhooks it got.
    #[must_use]
    #[track_caller]
    pub fn heard(&self) -> Vec<Heard> {
        self.try_heard().expect("the module answers")
    }

    /// The webhooks it got, if it answers.
    #[must_use]
    pub fn try_heard(&self) -> Option<Vec<Heard>> {
        let answer = self.probe().try_send(&Request::new("GET", "/webhooks")).ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |webhook: &Value| Heard {
            headers: webhook["headers"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), text(v))).collect(),
            body: text(&webhook["body"]),
        };
        Some(answer.json().as_array()?.iter().map(one).collect())
    }

    /// Waits for a webhook with an event of that type.
    ///
    /// # Panics
    /// If none arrives within 10 s.
    #[track_caller]
    #[must_use]
    pub fn hears(&self, event_type: &str) -> Heard {
        wait::for_some(&format!("the module hears {event_type}"), 10, || {
            self.heard().into_iter().find(|heard| heard.event()["type"] == event_type)
        })
    }
}
