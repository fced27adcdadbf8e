//! Clients that ask without a pause, each on a connection of its own, for one slice of time.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{TryStreamExt, stream::FuturesUnordered};

use super::{
    clock::nanos,
    hub::Hub,
    numbers::{Percentiles, float, median},
};

/// How many clients ask at the same time.
pub(super) const CLIENTS: usize = 16;
/// How much longer than its time a slice may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks once, and checks the answer.
pub(super) trait Client {
    async fn once(&mut self) -> anyhow::Result<()>;
}

/// What came of one slice.
#[derive(Debug, Default)]
pub(super) struct Slice {
    latencies_ns: Vec<u64>,
    elapsed: Duration,
    /// Processor time of who was asked, if it was looked at.
    cpu: Duration,
}

/// Lets all clients ask for about this long.
pub(super) async fn drive<C: Client>(clients: &mut [C], span: Duration) -> anyhow::Result<Slice> {
    let begun = Instant::now();
    let asked = clients.iter_mut().map(|client| ask(client, begun + span));
    let all = asked.collect::<FuturesUnordered<_>>().try_collect::<Vec<_>>();
    let latencies = tokio::time::timeout(span + PATIENCE, all).await.context("a request got no answer")??;
    Ok(Slice { latencies_ns: latencies.concat(), elapsed: begun.elapsed(), cpu: Duration::ZERO })
}

/// The same, with the hub's processor time.
pub(super) async fn drive_hub<C: Client>(hub: &Hub, clients: &mut [C], span: Duration) -> anyhow::Result<Slice> {
    let before = hub.cpu()?;
    let slice = drive(clients, span).await?;
    Ok(Slice { cpu: hub.cpu()?.saturating_sub(before), ..slice })
}

async fn ask<C: Client>(client: &mut C, until: Instant) -> anyhow::Result<Vec<u64>> {
    let mut latencies = Vec::new();
    loop {
        let begun = Instant::now();
        if begun >= until {
            return Ok(latencies);
        }
        client.once().await?;
        latencies.push(nanos(begun.elapsed()));
    }
}

/// What came of all slices of a row.
#[derive(Debug, Default)]
pub(super) struct Slices {
    latencies_ns: Vec<u64>,
    rates: Vec<f64>,
    cpu: Duration,
}

impl Slices {
    pub(super) fn add(&mut self, slice: Slice) {
        self.rates.push(float(slice.latencies_ns.len() as u64) / slice.elapsed.as_secs_f64());
        self.latencies_ns.extend(slice.latencies_ns);
        self.cpu += slice.cpu;
    }

    /// Requests a second: the median of the slices.
    pub(super) fn rate(&self) -> f64 {
        median(self.rates.clone())
    }

    /// Of all requests of all slices.
    pub(super) fn percentiles(&self) -> Percentiles {
        Percentiles::of(self.latencies_ns.clone())
    }

    /// The hub's processor time for one request, in microseconds: what load of others on the machine changes least.
    pub(super) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / float(self.latencies_ns.len().max(1) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u64);

    impl Client for Counter {
        async fn once(&mut self) -> anyhow::Result<()> {
            self.0 += 1;
            anyhow::ensure!(self.0 < 1000, "a wrong answer");
            tokio::task::yield_now().await;
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_wrong_answer_ends_the_slice() {
        let mut clients = [Counter(0), Counter(998)];
        let error = drive(&mut clients, Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "a wrong answer");
    }

    #[test]
    fn the_rate_is_the_median_of_the_slices() {
        let slice = |requests: usize| Slice {
            latencies_ns: vec![5; requests],
            elapsed: Duration::from_secs(1),
            cpu: Duration::from_micros(30),
        };
        let mut slices = Slices::default();
        for requests in [10, 30, 20] {
            slices.add(slice(requests));
        }
        assert_eq!((slices.rate(), slices.cpu_us(), slices.percentiles().p99_ns), (20.0, 1.5, 5));
    }
}
