//! How many requests outside one module has running; another one's are not counted with them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use selena_types::ModuleName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests of one module that run at the same time (protocol, section 7).
pub(super) const PER_MODULE: usize = 8;

/// The requests that run, by module.
#[derive(Debug, Default)]
pub(super) struct Slots {
    by_module: Mutex<HashMap<ModuleName, Arc<Semaphore>>>,
}

/// One of a module's requests; free again when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    /// Takes one of the module's places, if one is free.
    pub(super) fn take(&self, module: &ModuleName) -> Option<Slot> {
        let mut by_module = self.by_module.lock().expect("nothing panics while it holds the slots");
        // Each permit holds its semaphore: what only this table holds has no request.
        by_module.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let semaphore = by_module.entry(module.clone()).or_insert_with(|| Arc::new(Semaphore::new(PER_MODULE)));
        let permit = semaphore.clone().try_acquire_owned().ok()?;
        Some(Slot { _permit: permit })
    }
}

impl Slot {
    /// An answer that keeps the place until it is dropped: one that nobody reads is still in memory.
    pub(super) fn holding(self, answer: Vec<u8>) -> Held {
        Held { answer, _slot: self }
    }
}

/// An answer and its place.
#[derive(Debug)]
pub(super) struct Held {
    answer: Vec<u8>,
    _slot: Slot,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u19_a_place_is_taken_until_its_answer_is_gone() {
        let slots = Slots::default();
        let name = |text: &str| text.parse::<ModuleName>().expect("a name");
        let mut held: Vec<_> = (0..PER_MODULE).map(|_| slots.take(&name("greedy")).expect("a place")).collect();
        assert!(slots.take(&name("greedy")).is_none());
        assert!(slots.take(&name("other")).is_some(), "another module has places of its own");
        let answer = bytes::Bytes::from_owner(held.remove(0).holding(b"answer".to_vec()));
        let part = answer.slice(0..2);
        drop(answer);
        assert!(slots.take(&name("greedy")).is_none(), "a part of the answer is still on its way");
        drop(part);
        held.push(slots.take(&name("greedy")).expect("it is free again"));
        drop(held);
        assert!(slots.take(&name("other")).is_some());
        assert_eq!(slots.by_module.lock().expect("nobody panicked").len(), 1, "who asks nothing is forgotten");
    }
}
