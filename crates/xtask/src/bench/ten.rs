//! Deliveries to ten subscribers, beside mosquitto.

use std::path::Path;

use super::{
    Pace,
    hub::Hub,
    mosquitto::{self, Mosquitto},
    numbers::{float, median, per_second},
    table::Row,
    webhooks::{PUBLISHERS, Subscribers, flood},
};

const SUBSCRIBERS: u16 = 10;
const GOAL_PER_SEC: f64 = 20_000.0;

/// The row: the hub and the broker in turns.
pub(super) async fn row(hub: &Hub, dir: &Path, pace: Pace) -> anyhow::Result<Row> {
    let subscribers = Subscribers::start(hub, usize::from(SUBSCRIBERS)).await?;
    let peer = match mosquitto::program() {
        Some(program) => Some(Mosquitto::start(&program, dir, usize::from(SUBSCRIBERS)).await?),
        None => None,
    };
    let (mut ours, mut cpu, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pace.slices {
        let flood = flood(hub, &subscribers, pace.slice).await?;
        ours.push(flood.per_sec * f64::from(SUBSCRIBERS));
        cpu.push(flood.cpu_us / f64::from(SUBSCRIBERS));
        if let Some(mosquitto) = &peer {
            theirs.push(mosquitto.flood(pace.slice).await? * f64::from(SUBSCRIBERS));
        }
    }
    subscribers.end(hub).await?;
    let (ours, cpu) = (median(ours), median(cpu));
    let mut row = Row {
        what: format!("published by {PUBLISHERS} clients, delivered to {SUBSCRIBERS} subscribers, all together"),
        ours: format!("{}, CPU {cpu:.0} µs", per_second(ours)),
        peer: "mosquitto is not installed: apt-get install mosquitto".to_owned(),
        goal: "≥ 20,000/s",
        reached: Some(ours >= GOAL_PER_SEC),
        figures: [("ours_per_sec", ours), ("ours_cpu_us", cpu)].into(),
        ..Row::default()
    };
    if peer.is_some() {
        let theirs = median(theirs);
        row.peer = format!("mosquitto, QoS 1, same payload, not durable: {}", per_second(theirs));
        row.ratio = Some(ours / theirs.max(float(1)));
        row.figures.insert("mosquitto_per_sec", theirs);
    }
    Ok(row)
}
