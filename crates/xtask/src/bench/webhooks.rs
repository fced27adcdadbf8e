//! Events by webhook: how long one takes, and how many go to one subscriber.

use std::{
    cell::Cell,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::{TryStreamExt, stream::FuturesUnordered};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    Pace, clock,
    control::Control,
    event::{PATTERN, to_publish},
    fdatasync::Syncer,
    helper::Receivers,
    http::Connection,
    hub::{Hub, TOKEN},
    numbers::{Percentiles, float, median, per_second},
    ping,
    table::Row,
};

/// How many clients publish. Each waits until its event is durable, and one commit takes all that wait: with fewer of
/// them a slow disk would decide how many deliveries there are to count.
pub(super) const PUBLISHERS: usize = 48;
/// Most events that are published and not yet with every subscriber; the hub's queues hold 1,000 each.
pub(super) const IN_FLIGHT: usize = 512;
/// In what steps subscribers' progress is asked for.
const STEP: usize = 64;
const LATENCY_GOAL_MS: f64 = 1.0;
const ONE_GOAL: f64 = 0.6;

/// Receivers that are subscribed.
#[derive(Debug)]
pub(super) struct Subscribers {
    receivers: Receivers,
    subscriptions: Vec<String>,
}

impl Subscribers {
    pub(super) async fn start(hub: &Hub, count: usize) -> anyhow::Result<Self> {
        let receivers = Receivers::start(&["__receiver", "--ports", &count.to_string()]).await?;
        let mut connection = hub.connect().await?;
        let mut subscriptions = Vec::new();
        for port in &receivers.doors.ports {
            let body = json!({ "event_types": [PATTERN], "webhook_url": format!("http://localhost:{port}/hook") });
            let path = ("POST", "/api/v1/events/subscribe");
            let answer: Value =
                serde_json::from_slice(connection.ask(path, TOKEN, body.to_string().as_bytes(), 201).await?)?;
            subscriptions.push(answer["subscription_id"].as_str().unwrap_or_default().to_owned());
        }
        Ok(Self { receivers, subscriptions })
    }

    pub(super) async fn control(&self) -> anyhow::Result<Control> {
        Control::open(self.receivers.doors.control).await
    }

    /// Takes the subscriptions back.
    pub(super) async fn end(self, hub: &Hub) -> anyhow::Result<()> {
        let mut connection = hub.connect().await?;
        for id in &self.subscriptions {
            connection.ask(("DELETE", &format!("/api/v1/events/subscriptions/{id}")), TOKEN, b"", 204).await?;
        }
        Ok(())
    }
}

async fn publish(connection: &mut Connection) -> anyhow::Result<()> {
    let body = to_publish(clock::now_ns());
    connection.ask(("POST", "/api/v1/events/publish"), TOKEN, body.as_bytes(), 200).await.map(|_| ())
}

/// What came of one flood of events.
#[derive(Debug)]
pub(super) struct Flood {
    /// Events a second at each subscriber.
    pub(super) per_sec: f64,
    /// The hub's processor time for one event.
    pub(super) cpu_us: f64,
}

/// Publishes as fast as subscribers receive, for about this long; every event has to arrive, once and in order.
pub(super) async fn flood(hub: &Hub, subscribers: &Subscribers, span: Duration) -> anyhow::Result<Flood> {
    let mut connections = Vec::new();
    for _ in 0..PUBLISHERS {
        connections.push(hub.connect().await?);
    }
    let (permits, published) = (Semaphore::new(IN_FLIGHT), Cell::new(0_u64));
    let mut progress = subscribers.control().await?;
    let cpu = hub.cpu()?;
    let begun = Instant::now();
    let publisher = async |mut connection: Connection| {
        while begun.elapsed() < span {
            permits.acquire().await?.forget();
            publish(&mut connection).await?;
            published.set(published.get() + 1);
        }
        anyhow::Ok(())
    };
    let all = connections.into_iter().map(publisher).collect::<FuturesUnordered<_>>().try_collect::<()>();
    tokio::select! {
        done = all => done?,
        failed = refill(&mut progress, &permits) => failed?,
    }
    let mut control = subscribers.control().await?;
    control.reached(published.get()).await?;
    let elapsed = begun.elapsed();
    let cpu = hub.cpu()?.saturating_sub(cpu);
    control.report().await?.check(published.get())?;
    let events = float(published.get());
    Ok(Flood { per_sec: events / elapsed.as_secs_f64(), cpu_us: cpu.as_secs_f64() * 1e6 / events })
}

/// Lets as many further events out as have arrived everywhere; ends only by an error.
pub(super) async fn refill(progress: &mut Control, permits: &Semaphore) -> anyhow::Result<()> {
    let mut arrived = 0;
    loop {
        arrived += STEP as u64;
        progress.reached(arrived).await?;
        permits.add_permits(STEP);
    }
}

/// One event after the other, each awaited.
pub(super) async fn latency(hub: &Hub, events: u64) -> anyhow::Result<Percentiles> {
    let subscribers = Subscribers::start(hub, 1).await?;
    let mut control = subscribers.control().await?;
    let mut connection = hub.connect().await?;
    for event in 1..=events {
        publish(&mut connection).await?;
        control.reached(event).await?;
    }
    let report = control.report().await?;
    report.check(events)?;
    subscribers.end(hub).await?;
    Ok(report.latency)
}

/// One event after the other, and the round trip of the signed ping-pong.
pub(super) async fn latency_row(hub: &Hub, dir: &Path, pace: Pace) -> anyhow::Result<Row> {
    let ours = latency(hub, pace.events).await?;
    let pings = pings(1, pace.slice).await?;
    let sync_ms = 1e3 / Syncer::new(dir)?.rate(pace.slice / 4)?;
    Ok(Row {
        what: "publish sent → webhook received, one after the other".to_owned(),
        ours: ours.to_string(),
        peer: format!("bare signed ping-pong, round trip: {}; one fdatasync: {sync_ms:.2} ms", pings.round_trip),
        ratio: Some(ours.p50_ms() / pings.round_trip.p50_ms()),
        goal: "p50 < 1 ms",
        reached: Some(ours.p50_ms() < LATENCY_GOAL_MS),
        figures: [
            ("ours_p50_ms", ours.p50_ms()),
            ("ours_p99_ms", ours.p99_ms()),
            ("ping_pong_p50_ms", pings.round_trip.p50_ms()),
            ("fdatasync_ms", sync_ms),
        ]
        .into(),
    })
}

/// The ping-pong's medians.
struct Pinged {
    per_sec: f64,
    round_trip: Percentiles,
}

async fn pings(slices: usize, slice: Duration) -> anyhow::Result<Pinged> {
    let receivers = Receivers::start(&["__receiver", "--ports", "1"]).await?;
    let mut control = Control::open(receivers.doors.control).await?;
    let (mut rates, mut round_trip) = (Vec::new(), Percentiles::default());
    for _ in 0..slices {
        let pings = ping::slice(receivers.doors.ports[0], slice).await?;
        control.report().await?.check(pings.count)?;
        rates.push(pings.per_sec);
        round_trip = pings.round_trip;
    }
    Ok(Pinged { per_sec: median(rates), round_trip })
}

/// Deliveries to one subscriber in turns with the signed ping-pong.
pub(super) async fn one_row(hub: &Hub, pace: Pace) -> anyhow::Result<Row> {
    let subscribers = Subscribers::start(hub, 1).await?;
    let (mut ours, mut cpu, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pace.slices {
        let flood = flood(hub, &subscribers, pace.slice).await?;
        ours.push(flood.per_sec);
        cpu.push(flood.cpu_us);
        bare.push(pings(1, pace.slice).await?.per_sec);
    }
    subscribers.end(hub).await?;
    let (ours, bare, cpu) = (median(ours), median(bare), median(cpu));
    Ok(Row {
        what: format!("published by {PUBLISHERS} clients, delivered to one subscriber"),
        ours: format!("{}, CPU {cpu:.0} µs", per_second(ours)),
        peer: format!("bare signed ping-pong: {}", per_second(bare)),
        ratio: Some(ours / bare),
        goal: "≥ 0.60 of the ping-pong",
        reached: Some(ours / bare >= ONE_GOAL),
        figures: [("ours_per_sec", ours), ("ours_cpu_us", cpu), ("ping_pong_per_sec", bare)].into(),
    })
}
