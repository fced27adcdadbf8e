//! The baseline of deliveries: signed POSTs one after the other on one connection, by the client the hub uses.
//! No store, no queue, no subscription; a process of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use selena_core::ports::{ModuleAddress, ModuleCalls, ModuleRequest};
use selena_http::Client;
use selena_sandbox::{DockerSandbox, SandboxConfig};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    clock,
    event::{TYPE, delivered, signature},
    helper::{self, Process},
    numbers::{Percentiles, float},
};

/// What the process says at its end.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Pings {
    /// How many were answered.
    pub(super) count: u64,
    /// How many a second.
    pub(super) per_sec: f64,
    /// From the request to its answer.
    pub(super) round_trip: Percentiles,
}

/// Lets a process of its own send for about this long.
pub(super) async fn slice(port: u16, span: Duration) -> anyhow::Result<Pings> {
    let (port, millis) = (port.to_string(), span.as_millis().to_string());
    let process = Process::start(&["__ping", "--port", &port, "--millis", &millis])?;
    serde_json::from_str(&process.rest().await?).context("the ping-pong said something else")
}

/// The process's work.
pub(super) async fn run(port: u16, span: Duration) -> anyhow::Result<()> {
    // No container is ever asked for: the sandbox is there because the client wants one.
    let nowhere = std::env::temp_dir().join("no-such-place-of-the-benchmark");
    let mut config = SandboxConfig::new(nowhere.clone(), nowhere.clone(), nowhere.clone(), "bench".to_owned());
    config.docker_socket = nowhere;
    let client = Client::new(Arc::new(DockerSandbox::new(config)));
    // As a courier of the hub: in a task of its own.
    let pings = tokio::spawn(async move { send(&client, port, span).await }).await??;
    Ok(helper::say(&serde_json::to_string(&pings)?)?)
}

async fn send(client: &Client, port: u16, span: Duration) -> anyhow::Result<Pings> {
    let begun = Instant::now();
    let mut round_trips = Vec::new();
    while begun.elapsed() < span {
        let sent = Instant::now();
        once(client, port).await?;
        round_trips.push(clock::nanos(sent.elapsed()));
    }
    let count = round_trips.len() as u64;
    let per_sec = float(count) / begun.elapsed().as_secs_f64();
    Ok(Pings { count, per_sec, round_trip: Percentiles::of(round_trips) })
}

async fn once(client: &Client, port: u16) -> anyhow::Result<()> {
    let now = clock::now_ns();
    let body = delivered(now, now);
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("x-event-id", Uuid::nil().to_string()),
        ("x-event-type", TYPE.to_owned()),
        ("x-selena-event", TYPE.to_owned()),
        ("x-selena-timestamp", (now / 1_000_000_000).to_string()),
        ("x-selena-delivery", "1".to_owned()),
        ("x-selena-signature", signature(body.as_bytes())?),
    ];
    let request = ModuleRequest {
        path: "/hook",
        headers: &headers,
        body: Some(body.into()),
        timeout: Duration::from_secs(5),
        max_answer_bytes: 64 * 1024,
    };
    let answer = client.call(&ModuleAddress::Host { port }, request).await?;
    ensure!(answer.status == 200, "the receiver answered {}", answer.status);
    Ok(())
}
