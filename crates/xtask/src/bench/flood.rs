//! A process that asks more than it may, whatever it is answered: the attacker of series K and E.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::{Buf, BytesMut};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::{MissedTickBehavior, interval, timeout_at},
};
use uuid::Uuid;

use super::{
    event::to_publish_as,
    helper::{self, Process},
    http::content_length,
    hub::TOKEN,
};

/// In what steps requests are let go.
const STEP: Duration = Duration::from_millis(10);
/// Most requests that one connection writes at once, if it could not for a while.
const MOST_AT_ONCE: u64 = 1000;
/// Most connections that are in the making, if each request has one of its own.
const IN_THE_MAKING: usize = 256;

/// What is asked, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `GET /devices` with a random token, many on one connection without waiting for answers.
    Guesses,
    /// The same, each on a connection of its own.
    FreshGuesses,
    /// An event, published with the good token, many on one connection without waiting for answers.
    Events,
}

/// What the process is told.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Flood {
    /// The hub's port.
    #[arg(long)]
    pub(super) port: u16,
    /// What is asked.
    #[arg(long, value_enum)]
    pub(super) kind: Kind,
    /// On how many connections.
    #[arg(long)]
    pub(super) connections: u32,
    /// How many requests a second are offered, over all connections.
    #[arg(long)]
    pub(super) per_sec: u32,
    /// For how long.
    #[arg(long)]
    pub(super) millis: u64,
}

/// What the process says at its end.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Flooded {
    /// Requests that the network took.
    pub(super) sent: u64,
    /// Answers by their status.
    pub(super) answers: BTreeMap<u16, u64>,
}

impl Flooded {
    /// Adds what another slice did.
    pub(super) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        for (status, count) in &other.answers {
            *self.answers.entry(*status).or_default() += count;
        }
    }

    /// Answers of any status.
    pub(super) fn answered(&self) -> u64 {
        self.answers.values().sum()
    }
}

/// Lets a process of its own flood; comes back when that has begun.
pub(super) async fn begin(flood: Flood) -> anyhow::Result<Process> {
    let kind = flood.kind.to_possible_value().context("a kind without a name")?;
    let Flood { port, connections, per_sec, millis, .. } = flood;
    let numbers = [("--port", u64::from(port)), ("--connections", connections.into()), ("--per-sec", per_sec.into())];
    let numbers = numbers.into_iter().chain([("--millis", millis)]).map(|(name, number)| format!("{name}={number}"));
    let arguments: Vec<_> =
        ["__flood".to_owned(), format!("--kind={}", kind.get_name())].into_iter().chain(numbers).collect();
    let mut process = Process::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    process.line().await?;
    Ok(process)
}

/// Waits for its end.
pub(super) async fn end(process: Process) -> anyhow::Result<Flooded> {
    serde_json::from_str(process.rest().await?.trim()).context("the flood said something else")
}

/// The process's work: floods for its time, and tells what came of it.
pub(super) async fn run(flood: Flood) -> anyhow::Result<()> {
    let counts = Arc::new(Mutex::new(Flooded::default()));
    let until = tokio::time::Instant::now() + Duration::from_millis(flood.millis);
    helper::say("flooding")?;
    let all = match flood.kind {
        Kind::FreshGuesses => tokio::spawn(knock(flood, counts.clone())),
        Kind::Guesses | Kind::Events => tokio::spawn(pour(flood, counts.clone())),
    };
    let abort = all.abort_handle();
    match timeout_at(until, all).await {
        Ok(ended) => ended??,
        Err(_over) => abort.abort(),
    }
    let counts = counts.lock().expect("nothing panics while it counts").clone();
    ensure!(counts.sent > 0, "nothing was sent");
    Ok(helper::say(&serde_json::to_string(&counts)?)?)
}

/// Sends on a fixed number of connections; one that the hub closes is opened again.
async fn pour(flood: Flood, counts: Arc<Mutex<Flooded>>) -> anyhow::Result<()> {
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..flood.connections {
        let counts = counts.clone();
        all.spawn(async move {
            let begun = Instant::now();
            let mut sent = 0;
            loop {
                // Its error is its end, which the hub may want.
                let _ended = pour_into_one(flood, begun, &mut sent, &counts).await;
                tokio::time::sleep(STEP).await;
            }
        });
    }
    // None ends by itself.
    all.join_next().await.transpose()?;
    Ok(())
}

/// Sends on one connection until it breaks; what the peer does not take waits here.
async fn pour_into_one(flood: Flood, begun: Instant, sent: &mut u64, counts: &Mutex<Flooded>) -> anyhow::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", flood.port)).await?;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let write = async {
        let mut tick = ticks();
        loop {
            tick.tick().await;
            let due = due(flood, begun.elapsed()).saturating_sub(*sent).min(MOST_AT_ONCE);
            let requests: String = (0..due).map(|_| request(flood)).collect();
            writer.write_all(requests.as_bytes()).await?;
            *sent += due;
            counts.lock().expect("nothing panics while it counts").sent += due;
        }
    };
    let read = async {
        let mut buffer = BytesMut::with_capacity(64 * 1024);
        loop {
            ensure!(reader.read_buf(&mut buffer).await? > 0, "the hub closed the connection");
            while let Some((status, bytes)) = answer(&buffer)? {
                *counts.lock().expect("nothing panics while it counts").answers.entry(status).or_default() += 1;
                buffer.advance(bytes);
            }
        }
    };
    tokio::select! {
        ended = write => ended,
        ended = read => ended,
    }
}

/// How many requests one connection should have sent by now.
fn due(flood: Flood, elapsed: Duration) -> u64 {
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    micros * u64::from(flood.per_sec) / u64::from(flood.connections) / 1_000_000
}

fn ticks() -> tokio::time::Interval {
    let mut tick = interval(STEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

fn request(flood: Flood) -> String {
    let port = flood.port;
    if flood.kind == Kind::Events {
        let body = to_publish_as("noise.made", 0);
        let length = body.len();
        return format!(
            "POST /api/v1/events/publish HTTP/1.1\r\nhost: localhost:{port}\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
    }
    let (one, two) = (Uuid::new_v4().simple(), Uuid::new_v4().simple());
    format!("GET /api/v1/devices HTTP/1.1\r\nhost: localhost:{port}\r\nauthorization: Bearer {one}{two}\r\n\r\n")
}

/// The first answer in the bytes, if it is whole: its status and length.
fn answer(bytes: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(bytes).context("an answer that is no HTTP")? else {
        return Ok(None);
    };
    let status = answer.code.context("an answer without a status")?;
    let end = head + content_length(answer.headers)?.unwrap_or_default();
    Ok((bytes.len() >= end).then_some((status, end)))
}

/// Opens a connection for each request.
async fn knock(flood: Flood, counts: Arc<Mutex<Flooded>>) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(IN_THE_MAKING));
    let one = Flood { connections: 1, ..flood };
    let begun = Instant::now();
    let (mut tick, mut sent) = (ticks(), 0);
    loop {
        tick.tick().await;
        let due = due(one, begun.elapsed()).saturating_sub(sent).min(IN_THE_MAKING as u64);
        sent += due;
        for _ in 0..due {
            let (place, counts) = (places.clone().acquire_owned().await?, counts.clone());
            tokio::spawn(async move {
                let _place = place;
                // One that is closed without an answer was refused too.
                let _status = knock_once(flood, &counts).await;
            });
        }
    }
}

async fn knock_once(flood: Flood, counts: &Mutex<Flooded>) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", flood.port)).await?;
    // Reset at its end: a port that waits for late packets could not be used again for a minute.
    stream.set_zero_linger()?;
    counts.lock().expect("nothing panics while it counts").sent += 1;
    stream.write_all(request(flood).as_bytes()).await?;
    let mut buffer = BytesMut::with_capacity(2048);
    while stream.read_buf(&mut buffer).await? > 0 {
        if let Some((status, _)) = answer(&buffer)? {
            *counts.lock().expect("nothing panics while it counts").answers.entry(status).or_default() += 1;
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_in_one_buffer() {
        let refused = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}";
        let two = format!("{refused}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(answer(two.as_bytes()).unwrap(), Some((429, refused.len())));
        assert_eq!(answer(&two.as_bytes()[refused.len()..]).unwrap().map(|(status, _)| status), Some(200));
        assert_eq!(answer(&refused.as_bytes()[..refused.len() - 1]).unwrap(), None);
        assert!(answer(b"SSH-2.0").is_err());
    }

    #[test]
    fn what_is_due_is_shared_by_the_connections() {
        let flood = Flood { port: 1, kind: Kind::Guesses, connections: 60, per_sec: 60_000, millis: 1 };
        assert_eq!(due(flood, Duration::from_millis(10)), 10);
    }
}
