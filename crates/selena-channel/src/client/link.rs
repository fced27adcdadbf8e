//! One connection: its calls under way, and what happens to their answers.

use std::{
    collections::{HashMap, HashSet},
    os::fd::OwnedFd,
    sync::{Mutex, atomic::Ordering},
    time::Duration,
};

use selena_core::ports::SandboxError;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Shared, lock};
use crate::{
    codec, failure,
    message::{Answer, Call, Failure, ToSandbox},
    packet::MAX_PACKET_BYTES,
};

/// Packets that wait to be written; a caller waits until there is room.
const OUTGOING: usize = 64;
/// How much longer than the sandbox the core waits: its answer says more than none.
const SLACK: Duration = Duration::from_secs(5);

/// The answer to a call.
pub(super) type Outcome = Result<(Answer, Vec<OwnedFd>), Failure>;

/// A packet on its way to the sandbox.
pub(super) type Outgoing = (Vec<u8>, Vec<OwnedFd>);

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    outgoing: mpsc::Sender<Outgoing>,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    last: u64,
    /// Who waits for an answer.
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    /// Calls nobody waits for any more, whose answer has not come.
    abandoned: HashSet<u64>,
}

/// What became of an answer.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Somebody waited for it.
    Taken,
    /// Nobody waits any more; this is what was done for nobody.
    Late(Outcome),
    /// It was never asked.
    Stray,
}

impl Link {
    pub(super) fn new() -> (Self, mpsc::Receiver<Outgoing>) {
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        (Self { outgoing, calls: Mutex::default() }, queue)
    }

    /// Asks, and waits for the answer. Dropped, it tells the sandbox that nobody waits any more.
    pub(super) async fn ask(
        &self,
        attempted: &'static str,
        limit: Duration,
        call: Call,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(Answer, Vec<OwnedFd>), SandboxError> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut calls = lock(&self.calls);
            calls.last += 1;
            let id = calls.last;
            calls.waiting.insert(id, sender);
            id
        };
        let waiting = Waiting { link: self, id };
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let packet = packet(attempted, &ToSandbox::Call { id, limit_ms, call })?;
        let lost = || failure::lost(attempted, "the connection to the sandbox was lost");
        let asked = async {
            self.outgoing.send((packet, descriptors)).await.map_err(|_closed| lost())?;
            answer.await.map_err(|_closed| lost())
        };
        let outcome = timeout(limit.saturating_add(SLACK), asked).await;
        let outcome = outcome.map_err(|_| failure::lost(attempted, "the sandbox did not answer in time"))??;
        drop(waiting);
        outcome.map_err(|failure| failure::from_wire(attempted, failure))
    }

    /// An answer came.
    pub(super) fn answered(&self, id: u64, outcome: Outcome) -> Arrival {
        let mut calls = lock(&self.calls);
        if calls.abandoned.remove(&id) {
            return Arrival::Late(outcome);
        }
        match calls.waiting.remove(&id) {
            Some(caller) => match caller.send(outcome) {
                Ok(()) => Arrival::Taken,
                Err(outcome) => Arrival::Late(outcome),
            },
            None => Arrival::Stray,
        }
    }

    /// The connection is lost: nobody gets an answer any more.
    pub(super) fn close(&self) {
        lock(&self.calls).waiting.clear();
    }

    /// Nobody waits for that call any more.
    fn abandon(&self, id: u64) {
        let mut calls = lock(&self.calls);
        if calls.waiting.remove(&id).is_none() {
            return;
        }
        calls.abandoned.insert(id);
        drop(calls);
        if let Ok(packet) = codec::encode(&ToSandbox::Cancel { id }) {
            // If the queue is full, the call just comes to its end.
            let _its_limit_ends_it = self.outgoing.try_send((packet, Vec::new()));
        }
    }
}

fn packet(attempted: &'static str, message: &ToSandbox) -> Result<Vec<u8>, SandboxError> {
    let too_long = || std::io::Error::other(format!("the call is longer than {MAX_PACKET_BYTES} bytes"));
    let encoded = codec::encode(message).map_err(std::io::Error::other);
    encoded
        .and_then(|packet| if packet.len() > MAX_PACKET_BYTES { Err(too_long()) } else { Ok(packet) })
        .map_err(|source| SandboxError::System { attempted, source })
}

/// A call that is waited for.
#[derive(Debug)]
struct Waiting<'a> {
    link: &'a Link,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.link.abandon(self.id);
    }
}

impl Shared {
    /// Asks the sandbox, if it is connected.
    pub(super) async fn ask(
        &self,
        attempted: &'static str,
        limit: Duration,
        call: Call,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(Answer, Vec<OwnedFd>), SandboxError> {
        let link = lock(&self.link).clone();
        let Some(link) = link else { return Err(failure::lost(attempted, "the sandbox process does not answer")) };
        link.ask(attempted, limit, call, descriptors).await
    }

    /// Counts an answer that nobody asked for; it is ignored (fault I10).
    pub(super) fn stray(&self, id: u64) {
        self.stray_answers.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(id, "the sandbox answered a call that was never made; ignored");
    }
}
