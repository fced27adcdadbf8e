//! Commands of the platform (protocol, section 6, `MODULE_COMMAND`).

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::spawn_local;

use super::{
    Answer, CommandHandler,
    once::{Asked, Once},
};
use crate::{Hub, journal::log};

/// How many answers are remembered; each is at most 64 KiB.
const REMEMBERED: usize = 16;

/// The commands the module knows.
pub(crate) struct Commands {
    hub: Hub,
    handlers: Vec<(String, CommandHandler)>,
    seen: Once<Answer>,
}

#[derive(Deserialize)]
struct Body {
    id: String,
    command: String,
    #[serde(default)]
    args: Value,
}

impl Commands {
    pub(crate) fn new(hub: Hub, handlers: Vec<(String, CommandHandler)>) -> Self {
        Self { hub, handlers, seen: Once::new(REMEMBERED) }
    }

    /// The handler's JSON; 404 for a command the module does not know, 500 if it failed.
    pub(crate) async fn answer(&self, body: &[u8]) -> Answer {
        let Body { id, command, args } = match serde_json::from_slice(body) {
            Ok(body) => body,
            Err(error) => return Answer::refusal(StatusCode::BAD_REQUEST, &format!("this is no command: {error}")),
        };
        let Some((_, handler)) = self.handlers.iter().find(|(name, _)| *name == command) else {
            return Answer::refusal(StatusCode::NOT_FOUND, "this module does not know the command");
        };
        let outcome = match self.seen.ask(&id) {
            Asked::Again(outcome) => outcome,
            Asked::First(done, outcome) => {
                // In a task of its own: it goes on if the hub stops waiting, and its panic is its own.
                let work = spawn_local(handler(self.hub.clone(), args));
                spawn_local(async move {
                    let failure = match work.await {
                        Ok(Ok(result)) => return done.send_replace(Some(Answer::json(StatusCode::OK, &result))),
                        Ok(Err(error)) => error,
                        Err(panic) => panic.into(),
                    };
                    log(format_args!("command {command} failed: {failure}"));
                    let refusal = Answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string());
                    done.send_replace(Some(refusal))
                });
                outcome
            }
        };
        let given_up = || Answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "the command was given up");
        outcome.get().await.unwrap_or_else(given_up)
    }
}
