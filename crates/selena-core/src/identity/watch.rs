//! What the init of a trial tells of the system calls that were denied there (protocol, section 2, step 3).
//!
//! The init holds a key that it got with the environment, and that the module in the same namespace does not have.
//! Each message holds all counts so far; its answer is kept back until the hub wants to know again. A count is believed
//! only if it came after the question: what was not told is unknown, and never "none".

use std::time::Duration;

use selena_types::{Secret, TokenHash};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{ApiError, token};

/// Most calls of one message: more than the init knows.
const MAX_CALLS: usize = 256;
const MAX_NAME_BYTES: usize = 40;
/// How long an answer is kept back: less than what would be taken for a connection that is dead.
const LONGEST_HOLD: Duration = Duration::from_secs(25);

/// A system call that was denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeniedSyscall {
    /// Its name, with the address family if it is `socket`, such as `socket(AF_VSOCK)`.
    pub name: String,
    /// How often it was attempted; 4,294,967,295 stands for that and more.
    pub count: u64,
}

/// The watch over one trial.
#[derive(Debug)]
pub struct SyscallWatch {
    key: Secret,
    hash: TokenHash,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many questions were put.
    asked: u64,
    /// How many of them the last message came after.
    answered: Option<u64>,
    /// Whether the module has ended, so that there is no later message.
    last: bool,
    counts: Vec<DeniedSyscall>,
}

impl SyscallWatch {
    /// A watch with a key of its own.
    ///
    /// # Errors
    /// [`token::NoRandomness`].
    pub(crate) fn new() -> Result<Self, token::NoRandomness> {
        let key = token::new_token()?;
        let hash = token::hash(key.expose());
        Ok(Self { key, hash, state: watch::Sender::default() })
    }

    /// The key, for the one answer of `GET /boot`.
    #[must_use]
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// Whether this is the key.
    #[must_use]
    pub fn is_key(&self, text: &str) -> bool {
        token::same(&self.hash, &token::hash(text))
    }

    /// Takes a message, `NAME COUNT` on each line. `last`: none follows it.
    ///
    /// # Errors
    /// [`ApiError::Unprocessable`] if it is none.
    pub fn tell(&self, message: &str, last: bool) -> Result<(), ApiError> {
        let counts = parse(message).ok_or_else(|| ApiError::Unprocessable {
            code: "report_invalid".to_owned(),
            detail: "a report is a line `NAME COUNT` for each system call".to_owned(),
        })?;
        self.state.send_modify(|state| {
            state.answered = Some(state.asked);
            state.last |= last;
            state.counts = counts;
        });
        Ok(())
    }

    /// Waits until the hub wants the next message.
    pub async fn wanted(&self) {
        let mut state = self.state.subscribe();
        let is_asked = |state: &State| state.answered != Some(state.asked);
        // Over time the init is only asked for the same again; and the sender is in `self`, so it is not closed.
        let _ = tokio::time::timeout(LONGEST_HOLD, state.wait_for(is_asked)).await;
    }

    /// All calls that were denied until now; `None` if the init does not tell in time.
    pub(crate) async fn ask(&self, patience: Duration) -> Option<Vec<DeniedSyscall>> {
        let mut asked = 0;
        self.state.send_modify(|state| {
            state.asked += 1;
            asked = state.asked;
        });
        let mut state = self.state.subscribe();
        let is_told = |state: &State| state.last || state.answered == Some(asked);
        let told = tokio::time::timeout(patience, state.wait_for(is_told)).await;
        told.ok()?.ok().map(|state| state.counts.clone())
    }
}

fn parse(message: &str) -> Option<Vec<DeniedSyscall>> {
    let one = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'(' | b')');
        let good = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(named);
        let count = count.parse::<u32>().ok().filter(|count| *count > 0)?;
        good.then(|| DeniedSyscall { name: name.to_owned(), count: count.into() })
    };
    let calls: Option<Vec<_>> = message.lines().map(one).collect();
    calls.filter(|calls| calls.len() <= MAX_CALLS)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn call(name: &str, count: u64) -> DeniedSyscall {
        DeniedSyscall { name: name.to_owned(), count }
    }

    #[test]
    fn a_message_is_lines_of_names_and_counts() {
        assert_eq!(parse(""), Some(vec![]));
        assert_eq!(parse("mount 2\nsocket(AF_ALG) 1\n"), Some(vec![call("mount", 2), call("socket(AF_ALG)", 1)]));
        let many = "mount 1\n".repeat(MAX_CALLS + 1);
        let long = format!("{} 1", "x".repeat(MAX_NAME_BYTES + 1));
        for bad in ["mount", "mount 0", "mount -1", "mount 4294967296", " 1", "mo\u{1b}unt 1", "\n", &many, &long] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_unknown_and_not_innocent() {
        let watch = SyscallWatch::new().unwrap();
        assert_eq!(watch.ask(PATIENCE).await, None);
        watch.tell("", false).unwrap();
        // It told something before it was asked, and then no more.
        assert_eq!(watch.ask(PATIENCE).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_after_the_question_is_the_answer() {
        let watch = Arc::new(SyscallWatch::new().unwrap());
        watch.tell("mount 1", false).unwrap();
        let init = tokio::spawn({
            let watch = watch.clone();
            async move {
                watch.wanted().await;
                watch.tell("mount 3", false).unwrap();
            }
        });
        assert_eq!(watch.ask(PATIENCE).await, Some(vec![call("mount", 3)]));
        init.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_not_kept_back_for_ever() {
        let watch = SyscallWatch::new().unwrap();
        watch.tell("", false).unwrap();
        let begun = tokio::time::Instant::now();
        watch.wanted().await;
        assert_eq!(begun.elapsed(), LONGEST_HOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_message_answers_every_question() {
        let watch = SyscallWatch::new().unwrap();
        watch.tell("bpf 1", true).unwrap();
        for _ in 0..2 {
            assert_eq!(watch.ask(PATIENCE).await, Some(vec![call("bpf", 1)]));
        }
    }

    #[test]
    fn only_the_key_is_the_key() {
        let watch = SyscallWatch::new().unwrap();
        assert!(watch.is_key(watch.key().expose()));
        assert!(!watch.is_key("") && !watch.is_key(SyscallWatch::new().unwrap().key().expose()));
        assert!(!format!("{watch:?}").contains(watch.key().expose()));
    }
}
