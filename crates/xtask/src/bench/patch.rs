//! `PATCH /devices/{id}/state`, durable when answered: with 100 devices, and with 10,000.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{
    Pace,
    devices::{self, DEVICES, State},
    fdatasync::Syncer,
    http::Connection,
    hub::{Hub, TOKEN},
    load::{CLIENTS, Client, Slices, drive_hub},
    numbers::{median, per_second},
    seed,
    table::Row,
};

/// Devices of the larger hub.
const MANY: usize = 10_000;
const GOAL_PER_SEC: f64 = 12_000.0;
const GOAL_P99_MS: f64 = 10.0;
const GOAL_DEARER: f64 = 1.5;

/// Sets the states of its own devices, one after the other.
struct Writer {
    connection: Connection,
    /// Ids, each with the newest `n` that was answered.
    devices: Vec<(String, u64)>,
    next: usize,
    n: u64,
}

/// What an answered device is looked at for.
#[derive(Deserialize)]
struct Answer {
    state: State,
}

impl Client for Writer {
    async fn once(&mut self) -> anyhow::Result<()> {
        self.n += 1;
        let place = self.next;
        self.next = (self.next + 1) % self.devices.len();
        let (id, answered) = &mut self.devices[place];
        let path = format!("/api/v1/devices/{id}/state");
        let body = format!("{{\"state\":{{\"on\":{},\"brightness\":57,\"n\":{}}}}}", self.n.is_multiple_of(2), self.n);
        let answer = self.connection.ask(("PATCH", &path), TOKEN, body.as_bytes(), 200).await?;
        let device: Answer = serde_json::from_slice(answer).context("the answer is no device")?;
        ensure!(device.state.n == Some(self.n), "the answered state is not the one that was set");
        *answered = self.n;
        Ok(())
    }
}

async fn writers(hub: &Hub, expected: usize) -> anyhow::Result<Vec<Writer>> {
    let devices = devices::list(hub).await?;
    ensure!(devices.len() == expected, "the hub lists {} devices instead of {expected}", devices.len());
    let mut writers = Vec::new();
    for _ in 0..CLIENTS {
        writers.push(Writer { connection: hub.connect().await?, devices: Vec::new(), next: 0, n: 0 });
    }
    for (place, device) in devices.into_iter().enumerate() {
        writers[place % CLIENTS].devices.push((device.device_id, 0));
    }
    Ok(writers)
}

/// Every state that was answered is the one that is listed.
async fn verify(hub: &Hub, writers: &[Writer]) -> anyhow::Result<()> {
    let answered: HashMap<_, _> = writers.iter().flat_map(|writer| &writer.devices).map(|(id, n)| (id, *n)).collect();
    for device in devices::list(hub).await? {
        let n = answered.get(&device.device_id).copied().context("an unknown device is listed")?;
        ensure!(device.state.n.unwrap_or_default() == n, "a state that was answered is not the one listed");
    }
    Ok(())
}

/// A hub that has 10,000 devices.
async fn large_hub(program: &Path, dir: &Path) -> anyhow::Result<Hub> {
    let data = dir.join("many-devices");
    Hub::start(program, &data).await?.stop().await?;
    seed::devices(&data, MANY)?;
    Hub::start(program, &data).await
}

/// The two rows: both hubs and the disk in turns.
pub(super) async fn rows(hub: &Hub, program: &Path, dir: &Path, pace: Pace) -> anyhow::Result<Vec<Row>> {
    let large = large_hub(program, dir).await?;
    let syncer = Syncer::new(dir)?;
    let (mut write_few, mut write_many) = (writers(hub, DEVICES).await?, writers(&large, MANY).await?);
    let (mut few, mut many, mut syncs) = (Slices::default(), Slices::default(), Vec::new());
    for _ in 0..pace.slices {
        few.add(drive_hub(hub, &mut write_few, pace.slice).await?);
        many.add(drive_hub(&large, &mut write_many, pace.slice).await?);
        syncs.push(syncer.rate(pace.slice / 4)?);
    }
    verify(hub, &write_few).await?;
    verify(&large, &write_many).await?;
    large.stop().await?;
    Ok(vec![few_row(&few, median(syncs)), many_row(&few, &many)])
}

fn few_row(few: &Slices, syncs: f64) -> Row {
    let (rate, percentiles, cpu) = (few.rate(), few.percentiles(), few.cpu_us());
    Row {
        what: format!("PATCH state, durable: {DEVICES} devices, {CLIENTS} clients"),
        ours: format!("{}, {percentiles}, CPU {cpu:.0} µs", per_second(rate)),
        peer: format!("fdatasync of 4 KiB, one after the other: {}", per_second(syncs)),
        ratio: Some(rate / syncs),
        goal: "≥ 12,000/s, p99 ≤ 10 ms",
        reached: Some(rate >= GOAL_PER_SEC && percentiles.p99_ms() <= GOAL_P99_MS),
        figures: [
            ("ours_per_sec", rate),
            ("ours_p50_ms", percentiles.p50_ms()),
            ("ours_p99_ms", percentiles.p99_ms()),
            ("ours_cpu_us", cpu),
            ("fdatasync_per_sec", syncs),
        ]
        .into(),
    }
}

fn many_row(few: &Slices, many: &Slices) -> Row {
    let (rate, percentiles, cpu) = (many.rate(), many.percentiles(), many.cpu_us());
    let dearer = few.rate() / rate;
    Row {
        what: "the same with 10,000 devices".to_owned(),
        ours: format!("{}, {percentiles}, CPU {cpu:.0} µs", per_second(rate)),
        peer: format!("ours with {DEVICES} devices: {}; the ratio is how much dearer", per_second(few.rate())),
        ratio: Some(dearer),
        goal: "at most 1.5 times as dear",
        reached: Some(dearer <= GOAL_DEARER),
        figures: [
            ("ours_per_sec", rate),
            ("ours_p50_ms", percentiles.p50_ms()),
            ("ours_p99_ms", percentiles.p99_ms()),
            ("ours_cpu_us", cpu),
            ("times_as_dear", dearer),
        ]
        .into(),
    }
}
