//! `GET /devices` beside a bare server that answers the same bytes from memory.

use std::{path::Path, time::Duration};

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{
    Pace,
    http::Connection,
    hub::{Hub, TOKEN},
    load::{CLIENTS, Client, Slices, drive, drive_hub},
    numbers::{Percentiles, per_second},
    ready, seed,
    table::Row,
};

/// How many devices most rows have.
pub(super) const DEVICES: usize = 100;
const GOAL_PER_SEC: f64 = 20_000.0;
const PATH: &str = "/api/v1/devices";

/// What `GET /devices` answers, as far as it is read here.
#[derive(Debug, Deserialize)]
struct List {
    devices: Vec<Listed>,
}

/// A device as it is listed.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) device_id: String,
    pub(super) state: State,
}

/// The state the benchmark sets.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    /// Counts the requests of a client; absent before the first.
    pub(super) n: Option<u64>,
}

/// Registers the devices.
pub(super) async fn register(hub: &Hub) -> anyhow::Result<()> {
    let mut connection = hub.connect().await?;
    for n in 0..DEVICES {
        let device = json!({
            "name": seed::device_name(n), "type": "actuator", "protocol": "bench",
            "capabilities": seed::capabilities(), "meta": seed::meta(n),
        });
        connection.ask(("POST", PATH), TOKEN, device.to_string().as_bytes(), 201).await?;
    }
    Ok(())
}

/// All devices of a hub.
pub(super) async fn list(hub: &Hub) -> anyhow::Result<Vec<Listed>> {
    let mut connection = hub.connect().await?;
    let list: List =
        serde_json::from_slice(connection.get(PATH, TOKEN).await?).context("the list is not as expected")?;
    Ok(list.devices)
}

/// What `GET /devices` answers now.
pub(super) async fn bytes(hub: &Hub) -> anyhow::Result<Bytes> {
    Ok(Bytes::copy_from_slice(hub.connect().await?.get(PATH, TOKEN).await?))
}

/// Asks for the list, which has to be the same each time.
struct Reader {
    connection: Connection,
    expected: Bytes,
}

impl Client for Reader {
    async fn once(&mut self) -> anyhow::Result<()> {
        let body = self.connection.get(PATH, TOKEN).await?;
        ensure!(body == self.expected, "the list of devices is another one, though nothing changed");
        Ok(())
    }
}

async fn readers(port: u16, expected: &Bytes) -> anyhow::Result<Vec<Reader>> {
    let mut readers = Vec::new();
    for _ in 0..CLIENTS {
        readers.push(Reader { connection: Connection::open(port).await?, expected: expected.clone() });
    }
    Ok(readers)
}

/// One client that asks again and again, for about this long.
pub(super) async fn one_client(hub: &Hub, span: Duration) -> anyhow::Result<Percentiles> {
    let expected = bytes(hub).await?;
    let mut client = [Reader { connection: hub.connect().await?, expected }];
    let mut slices = Slices::default();
    slices.add(drive(&mut client, span).await?);
    Ok(slices.percentiles())
}

/// The row.
pub(super) async fn row(hub: &Hub, dir: &Path, pace: Pace) -> anyhow::Result<Row> {
    let expected = bytes(hub).await?;
    let file = dir.join("devices.json");
    std::fs::write(&file, &expected)?;
    let (_bare, port) = ready::bare(&file).await?;
    let mut ask_ours = readers(hub.port, &expected).await?;
    let mut ask_bare = readers(port, &expected).await?;
    let (mut ours, mut bare) = (Slices::default(), Slices::default());
    for _ in 0..pace.slices {
        ours.add(drive_hub(hub, &mut ask_ours, pace.slice).await?);
        bare.add(drive(&mut ask_bare, pace.slice).await?);
    }
    let (rate, peer, cpu) = (ours.rate(), bare.rate(), ours.cpu_us());
    Ok(Row {
        what: format!("GET /devices: {DEVICES} devices ({} bytes), {CLIENTS} clients", expected.len()),
        ours: format!("{}, {}, CPU {cpu:.0} µs", per_second(rate), ours.percentiles()),
        peer: format!("bare axum server, same bytes: {}, {}", per_second(peer), bare.percentiles()),
        ratio: Some(rate / peer),
        goal: "≥ 20,000/s",
        reached: Some(rate >= GOAL_PER_SEC),
        figures: [
            ("ours_per_sec", rate),
            ("ours_p50_ms", ours.percentiles().p50_ms()),
            ("ours_p99_ms", ours.percentiles().p99_ms()),
            ("ours_cpu_us", cpu),
            ("bare_server_per_sec", peer),
            ("bare_server_p99_ms", bare.percentiles().p99_ms()),
        ]
        .into(),
    })
}
