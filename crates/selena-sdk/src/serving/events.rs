//! Events as they are delivered: in order, each once (protocol, section 6).

use std::rc::Rc;

use hyper::StatusCode;
use selena_types::{Event, EventPattern};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_local,
};

use super::{
    Answer, EventHandler,
    once::{Asked, Once},
};
use crate::{Hub, journal::log};

/// How many event ids are remembered: more than the hub keeps for a module.
const REMEMBERED: usize = 1024;
/// How many events may wait here. The hub sends the next one when the one before was answered or given up.
const WAITING: usize = 64;

/// The events' way in.
pub(crate) struct Events {
    seen: Once<bool>,
    inbox: mpsc::Sender<Delivery>,
}

/// An event, and who waits to hear whether it was handled.
struct Delivery {
    event: Event,
    done: watch::Sender<Option<bool>>,
}

impl Events {
    /// Starts the task that handles events, one after the other. A delivery that the hub gave up in the meantime
    /// is handled to its end all the same, before the next one.
    pub(crate) fn start(hub: Hub, handlers: Vec<(EventPattern, EventHandler)>) -> Rc<Self> {
        let (inbox, mut deliveries) = mpsc::channel::<Delivery>(WAITING);
        let events = Rc::new(Self { seen: Once::new(REMEMBERED), inbox });
        let known = Rc::downgrade(&events);
        spawn_local(async move {
            while let Some(Delivery { event, done }) = deliveries.recv().await {
                let id = event.event_id.to_string();
                let handled = handle(&hub, &handlers, event).await;
                if let Some(events) = known.upgrade().filter(|_| !handled) {
                    events.seen.forget(&id);
                }
                done.send_replace(Some(handled));
            }
        });
        events
    }

    /// 200 once the event was handled, now or before; 503 asks the hub to deliver it again.
    pub(crate) async fn answer(&self, body: &[u8]) -> Answer {
        let event: Event = match serde_json::from_slice(body) {
            Ok(event) => event,
            Err(error) => return Answer::refusal(StatusCode::BAD_REQUEST, &format!("this is no event: {error}")),
        };
        let id = event.event_id.to_string();
        let outcome = match self.seen.ask(&id) {
            Asked::Again(outcome) => outcome,
            Asked::First(done, outcome) => {
                if self.inbox.try_send(Delivery { event, done }).is_err() {
                    self.seen.forget(&id);
                    return Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, "too many events wait to be handled");
                }
                outcome
            }
        };
        if outcome.get().await == Some(true) {
            Answer::ok()
        } else {
            Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, "the event was not handled")
        }
    }
}

async fn handle(hub: &Hub, handlers: &[(EventPattern, EventHandler)], event: Event) -> bool {
    for (_, handler) in handlers.iter().filter(|(pattern, _)| pattern.matches(&event.event_type)) {
        // In a task of its own, so that its panic is its own too.
        let outcome = spawn_local(handler(hub.clone(), event.clone())).await;
        let failure = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error,
            Err(panic) => panic.into(),
        };
        log(format_args!("{} {} was not handled: {failure}", event.event_type, event.event_id));
        return false;
    }
    true
}
