//! Work that is done once however often it is asked for.

use std::{cell::RefCell, collections::VecDeque};

use tokio::sync::watch;

/// What is known of the newest pieces of work, by id; who asks again gets the outcome of the first time.
#[derive(Debug)]
pub(crate) struct Once<T> {
    newest: RefCell<VecDeque<(String, watch::Receiver<Option<T>>)>>,
    most: usize,
}

/// Who asks for a piece of work.
#[derive(Debug)]
pub(crate) enum Asked<T> {
    /// The first, who has to do it.
    First(watch::Sender<Option<T>>, Outcome<T>),
    /// Another one.
    Again(Outcome<T>),
}

/// The outcome of a piece of work, once there is one.
#[derive(Debug)]
pub(crate) struct Outcome<T>(watch::Receiver<Option<T>>);

impl<T: Clone> Once<T> {
    /// Remembers at most so many.
    pub(crate) fn new(most: usize) -> Self {
        Self { newest: RefCell::default(), most }
    }

    pub(crate) fn ask(&self, id: &str) -> Asked<T> {
        let mut newest = self.newest.borrow_mut();
        if let Some((_, known)) = newest.iter().rev().find(|(known, _)| known == id) {
            return Asked::Again(Outcome(known.clone()));
        }
        if newest.len() >= self.most {
            newest.pop_front();
        }
        let (sender, receiver) = watch::channel(None);
        newest.push_back((id.to_owned(), receiver.clone()));
        Asked::First(sender, Outcome(receiver))
    }

    /// The next who asks for it is the first one again.
    pub(crate) fn forget(&self, id: &str) {
        self.newest.borrow_mut().retain(|(known, _)| known != id);
    }
}

impl<T: Clone> Outcome<T> {
    /// `None` if it was given up.
    pub(crate) async fn get(mut self) -> Option<T> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_outcome_of_the_first_is_everybodys() {
        let once = Once::new(2);
        let Asked::First(done, first) = once.ask("a") else { panic!("nobody asked before") };
        let Asked::Again(again) = once.ask("a") else { panic!("it was asked") };
        done.send(Some(7)).expect("two listen");
        assert_eq!((first.get().await, again.get().await), (Some(7), Some(7)));
        let Asked::Again(late) = once.ask("a") else { panic!("it was asked") };
        assert_eq!(late.get().await, Some(7));
    }

    #[tokio::test]
    async fn what_was_forgotten_or_is_too_old_begins_anew() {
        let once = Once::<()>::new(2);
        let first = |id| matches!(once.ask(id), Asked::First(..));
        assert!(first("a") && first("b") && !first("a"));
        once.forget("a");
        assert!(first("a"));
        assert!(first("c") && first("b"), "only the newest two are known");
        let Asked::Again(given_up) = once.ask("b") else { panic!("it was asked") };
        assert_eq!(given_up.get().await, None);
    }
}
