//! Series K and E under load: what a flood of refused requests costs the core, and whether others feel it.
//! The hub limits requests here as it always does; in all other rows that is lifted.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

use super::{
    Pace,
    clock::{self, nanos},
    event::to_publish,
    flood::{self, Flood, Flooded, Kind},
    http::Connection,
    hub::{Hub, TOKEN},
    numbers::{Percentiles, float, median, per_second},
    table::Row,
    webhooks::Subscribers,
};

/// Random tokens a second: a million a minute.
const GUESSES_PER_SEC: u32 = 16_667;
/// On how many connections they come: the listener takes 64, and the one who behaves is on one of them.
const GUESSING: u32 = 60;
/// Events a second that the loud module offers, and on how many connections.
const EVENTS_PER_SEC: u32 = 100_000;
const PUBLISHING: u32 = 16;
/// Requests a second of who behaves: fewer than the 100 that a token may.
const CALM_PER_SEC: u64 = 90;
const CPU_GOAL: f64 = 0.2;
const OTHERS_P99_GOAL_MS: f64 = 10.0;

/// Floods a hub of their own.
pub(super) async fn rows(program: &Path, dir: &Path, pace: Pace) -> anyhow::Result<Vec<Row>> {
    let hub = Hub::start_limited(program, &dir.join("floods")).await?;
    let rows = vec![
        guesses(&hub, Kind::Guesses, pace).await?,
        guesses(&hub, Kind::FreshGuesses, pace).await?,
        events(&hub, pace).await?,
    ];
    hub.stop().await?;
    Ok(rows)
}

/// What one side of a row measured, over all slices.
#[derive(Default)]
struct Felt {
    latencies_ns: Vec<u64>,
    cpu: Duration,
    elapsed: Duration,
}

impl Felt {
    /// The core's share of one processor.
    fn share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    fn percentiles(&self) -> Percentiles {
        Percentiles::of(self.latencies_ns.clone())
    }

    async fn measure(&mut self, hub: &Hub, asks: impl Future<Output = anyhow::Result<Vec<u64>>>) -> anyhow::Result<()> {
        let (begun, cpu) = (Instant::now(), hub.cpu()?);
        self.latencies_ns.extend(asks.await?);
        self.cpu += hub.cpu()?.saturating_sub(cpu);
        self.elapsed += begun.elapsed();
        Ok(())
    }
}

/// `GET /devices` at a steady pace with a good token, for about this long.
async fn calm_reads(connection: &mut Connection, span: Duration) -> anyhow::Result<Vec<u64>> {
    let mut tick = interval(Duration::from_micros(1_000_000 / CALM_PER_SEC));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (begun, mut latencies) = (Instant::now(), Vec::new());
    while begun.elapsed() < span {
        tick.tick().await;
        let asked = Instant::now();
        connection.get("/api/v1/devices", TOKEN).await?;
        latencies.push(nanos(asked.elapsed()));
    }
    Ok(latencies)
}

async fn guesses(hub: &Hub, kind: Kind, pace: Pace) -> anyhow::Result<Row> {
    let millis = u64::try_from(pace.slice.as_millis())?;
    let flood = Flood { port: hub.port, kind, connections: GUESSING, per_sec: GUESSES_PER_SEC, millis };
    // Opened before, and kept: the flood may take every other place of the listener.
    let mut calm = hub.connect().await?;
    let (mut idle, mut flooded, mut guesses) = (Felt::default(), Felt::default(), Flooded::default());
    for _ in 0..pace.slices {
        idle.measure(hub, calm_reads(&mut calm, pace.slice)).await?;
        let process = flood::begin(flood).await?;
        flooded.measure(hub, calm_reads(&mut calm, pace.slice)).await?;
        guesses.add(&flood::end(process).await?);
    }
    let (share, felt) = (flooded.share(), flooded.percentiles());
    let seconds = flooded.elapsed.as_secs_f64();
    let (sent, answered) = (float(guesses.sent) / seconds, float(guesses.answered()) / seconds);
    let how = if kind == Kind::FreshGuesses { "each on a new connection" } else { "on 60 connections" };
    Ok(Row {
        what: format!("K09: 10^6 random tokens a minute, {how}; a good token's GET meanwhile"),
        ours: format!("core {:.0} % of a processor; GET {felt}", share * 100.0),
        peer: format!("nobody guesses: core {:.0} %; GET {}", idle.share() * 100.0, idle.percentiles()),
        ratio: Some(felt.p99_ms() / idle.percentiles().p99_ms()),
        goal: "core ≤ 20 %",
        reached: Some(share <= CPU_GOAL),
        figures: [
            ("cpu_share", share),
            ("idle_cpu_share", idle.share()),
            ("get_p99_ms", felt.p99_ms()),
            ("idle_get_p99_ms", idle.percentiles().p99_ms()),
            ("sent_per_sec", sent),
            ("answered_per_sec", answered),
        ]
        .into(),
    })
}

/// The medians of slices.
#[derive(Default)]
struct Delivered {
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
}

impl Delivered {
    fn add(&mut self, slice: Percentiles) {
        self.p50_ms.push(slice.p50_ms());
        self.p99_ms.push(slice.p99_ms());
    }

    fn medians(self) -> (f64, f64) {
        (median(self.p50_ms), median(self.p99_ms))
    }
}

/// Publishes one event after the other as another publisher, each awaited at its subscriber, for about this long.
async fn calm_events(hub: &Hub, subscribers: &Subscribers, span: Duration) -> anyhow::Result<Percentiles> {
    let mut connection = hub.connect_as_person().await?;
    let mut control = subscribers.control().await?;
    let (begun, mut events) = (Instant::now(), 0);
    while begun.elapsed() < span {
        let body = to_publish(clock::now_ns());
        connection.ask(("POST", "/api/v1/events/publish"), "", body.as_bytes(), 200).await?;
        events += 1;
        control.reached(events).await?;
    }
    let report = control.report().await?;
    report.check(events)?;
    Ok(report.latency)
}

async fn events(hub: &Hub, pace: Pace) -> anyhow::Result<Row> {
    let subscribers = Subscribers::start(hub, 1).await?;
    let millis = u64::try_from(pace.slice.as_millis())?;
    let flood = Flood { port: hub.port, kind: Kind::Events, connections: PUBLISHING, per_sec: EVENTS_PER_SEC, millis };
    let (mut idle, mut flooded, mut offered) = (Delivered::default(), Delivered::default(), Flooded::default());
    let begun = Instant::now();
    for _ in 0..pace.slices {
        idle.add(calm_events(hub, &subscribers, pace.slice).await?);
        let process = flood::begin(flood).await?;
        flooded.add(calm_events(hub, &subscribers, pace.slice).await?);
        offered.add(&flood::end(process).await?);
    }
    let seconds = begun.elapsed().as_secs_f64() / 2.0;
    let ((idle_p50, idle_p99), (p50, p99)) = (idle.medians(), flooded.medians());
    let of = |status| float(offered.answers.get(&status).copied().unwrap_or_default()) / seconds;
    Ok(Row {
        what: "E01: a module offers 10^5 events/s; another one's publish → webhook meanwhile".to_owned(),
        ours: format!("p50 {p50:.2} ms, p99 {p99:.2} ms; of the flood {} pass", per_second(of(200))),
        peer: format!("nobody floods: p50 {idle_p50:.2} ms, p99 {idle_p99:.2} ms"),
        ratio: Some(p99 / idle_p99),
        goal: "others p99 ≤ 10 ms",
        reached: Some(p99 <= OTHERS_P99_GOAL_MS),
        figures: [
            ("others_p50_ms", p50),
            ("others_p99_ms", p99),
            ("idle_p50_ms", idle_p50),
            ("idle_p99_ms", idle_p99),
            ("flood_sent_per_sec", float(offered.sent) / seconds),
            ("flood_passed_per_sec", of(200)),
            ("flood_refused_per_sec", of(429)),
        ]
        .into(),
    })
}
