//! What receivers count, and whether all came, once and in order.

use std::sync::Mutex;

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{clock, event::Received, numbers::Percentiles};

/// What one receiver got since the last report.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Count {
    /// Events that came.
    pub(super) received: u64,
    /// Events that came after a later one, or again.
    pub(super) out_of_order: u64,
    /// Requests that were not signed rightly, or no event, or no first attempt.
    pub(super) wrong: u64,
    /// The newest place in the order.
    last_seq: u64,
}

/// What all receivers of a process got.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Report {
    pub(super) counts: Vec<Count>,
    /// From sent to received, over all receivers.
    pub(super) latency: Percentiles,
}

impl Report {
    /// Fails unless each receiver got every event, once and in order.
    pub(super) fn check(&self, sent: u64) -> anyhow::Result<()> {
        for count in &self.counts {
            let good = count.received == sent && count.out_of_order == 0 && count.wrong == 0;
            ensure!(good, "{sent} events were sent, and a receiver got {count:?}");
        }
        Ok(())
    }
}

/// The counts of a process's receivers.
#[derive(Debug)]
pub(super) struct Tally {
    inner: Mutex<Inner>,
    /// How many events the slowest receiver has.
    all_have: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    counts: Vec<Count>,
    latencies_ns: Vec<u64>,
}

impl Tally {
    pub(super) fn new(receivers: usize) -> Self {
        let inner = Inner { counts: vec![Count::default(); receivers], latencies_ns: Vec::new() };
        Self { inner: Mutex::new(inner), all_have: watch::Sender::new(0) }
    }

    /// Counts an event that came to a receiver; `good` tells whether all around it was right.
    pub(super) fn take(&self, receiver: usize, event: Option<&Received>, good: bool) {
        let mut inner = self.inner.lock().expect("nothing panics while it counts");
        let count = &mut inner.counts[receiver];
        let Some(event) = event else {
            count.wrong += 1;
            return;
        };
        count.received += 1;
        count.wrong += u64::from(!good);
        count.out_of_order += u64::from(event.seq <= count.last_seq);
        count.last_seq = event.seq;
        inner.latencies_ns.push(clock::now_ns().saturating_sub(event.sent_ns()));
        let least = inner.counts.iter().map(|count| count.received).min().unwrap_or_default();
        drop(inner);
        self.all_have.send_if_modified(|known| std::mem::replace(known, least) != least);
    }

    /// Comes back when every receiver has this many events.
    pub(super) async fn reached(&self, events: u64) {
        let mut all_have = self.all_have.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _always_there = all_have.wait_for(|have| *have >= events).await;
    }

    /// What was counted; begins to count anew, but keeps in mind which event was the last.
    pub(super) fn report(&self) -> Report {
        let mut inner = self.inner.lock().expect("nothing panics while it counts");
        let latency = Percentiles::of(std::mem::take(&mut inner.latencies_ns));
        let counts = inner.counts.clone();
        for count in &mut inner.counts {
            *count = Count { last_seq: count.last_seq, ..Count::default() };
        }
        self.all_have.send_replace(0);
        Report { counts, latency }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::event::delivered, *};

    fn event(seq: u64) -> Received {
        Received::parse(delivered(seq, 1).as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn a_report_is_good_if_each_receiver_got_all_in_order() {
        let tally = Tally::new(2);
        for seq in 1..=3 {
            tally.take(0, Some(&event(seq)), true);
            tally.take(1, Some(&event(seq)), true);
        }
        tally.reached(3).await;
        tally.report().check(3).unwrap();
        tally.report().check(0).unwrap();
    }

    #[test]
    fn what_is_missing_or_again_or_unsigned_is_found() {
        let of = |first: Option<Received>, second: Option<Received>, good: bool| {
            let tally = Tally::new(1);
            tally.take(0, first.as_ref(), true);
            tally.take(0, second.as_ref(), good);
            tally.report().check(2).is_ok()
        };
        assert!(of(Some(event(1)), Some(event(2)), true));
        assert!(!of(Some(event(2)), Some(event(1)), true), "order");
        assert!(!of(Some(event(1)), Some(event(1)), true), "again");
        assert!(!of(Some(event(1)), Some(event(2)), false), "unsigned");
        assert!(!of(Some(event(1)), None, true), "no event");
    }
}
