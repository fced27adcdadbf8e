//! Floods, over connections in memory and a clock that moves only when everybody waits: what is measured is exact.

use std::time::Duration;

use selena_core::{Development, identity::RequestLimits};
use selena_testkit::memory_api;
use selena_types::Secret;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex},
    time::{Instant, timeout},
};

use super::*;
use crate::tarpit::HOLD;

const TOKEN: &str = "the-good-token";
/// What a timer may be late: tokio rounds up to a millisecond.
const TICK: Duration = Duration::from_millis(2);

/// The host's listener, without a socket.
struct House {
    context: Context,
    places: Arc<Semaphore>,
}

/// A client's end of a connection.
struct Line(BufReader<DuplexStream>);

impl House {
    async fn new() -> Self {
        let development = Development { token: Some(Secret::new(TOKEN.to_owned())), webhook_secret: None };
        let api = Arc::new(memory_api(development, RequestLimits::Protocol).await);
        let origin = api.identity().host_origin();
        let context = Context { api, origin, port: Some(7070), tarpit: Arc::default() };
        Self { context, places: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }

    fn connect(&self) -> Line {
        let (client, server) = duplex(64 * 1024);
        connection(server, &self.context, &self.places, CancellationToken::new());
        Line(BufReader::new(client))
    }

    /// Guesses until each further guess is part of a flood.
    async fn flooded() -> Self {
        let house = Self::new().await;
        let mut line = house.connect();
        let mut statuses = Vec::new();
        let begun = Instant::now();
        for _ in 0..40 {
            line.send(&guess()).await;
            statuses.push(line.status().await);
        }
        assert_eq!(statuses, [[401; 20], [429; 20]].concat());
        assert_eq!(begun.elapsed(), Duration::ZERO, "who was refused a few times is answered at once");
        house
    }
}

impl Line {
    async fn send(&mut self, request: &str) {
        self.0.get_mut().write_all(request.as_bytes()).await.expect("taken");
    }

    /// The status of the next answer, which is read whole.
    async fn status(&mut self) -> u16 {
        let (mut head, mut line) = (Vec::new(), String::new());
        while self.0.read_line(&mut line).await.expect("read") > 2 {
            head.push(std::mem::take(&mut line).to_ascii_lowercase());
        }
        let status = head[0].split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.trim().parse().expect("a length"))];
        self.0.read_exact(&mut body).await.expect("a body");
        assert_eq!(head.iter().any(|line| line == "retry-after: 1\r\n"), status == 429, "{head:?}");
        status
    }
}

fn get(path: &str, token: Option<&str>) -> String {
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("GET /api/v1{path} HTTP/1.1\r\nhost: localhost:7070\r\n{authorization}\r\n")
}

fn guess() -> String {
    get("/devices", Some("a-guess"))
}

/// Lets the others work, without letting the clock move.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it does not come to that");
}

#[track_caller]
fn is_held(elapsed: Duration, times: u32) {
    assert!((HOLD * times..=(HOLD + TICK) * times).contains(&elapsed), "{elapsed:?} for {times} held answers");
}

#[tokio::test(start_paused = true)]
async fn k09_a_flood_waits_and_a_good_token_and_a_health_check_do_not() {
    let house = House::flooded().await;
    let mut flood = house.connect();
    let begun = Instant::now();
    flood.send(&guess()).await;
    for (request, status) in
        [(get("/devices", Some(TOKEN)), 200), (get("/health", None), 429), (get("/health", Some(TOKEN)), 200)]
    {
        let mut other = house.connect();
        other.send(&request).await;
        assert_eq!(other.status().await, status, "{request}");
        assert_eq!(begun.elapsed(), Duration::ZERO, "{request}");
    }
    assert!(timeout(Duration::ZERO, flood.0.fill_buf()).await.is_err(), "the guess waits");
    assert_eq!(flood.status().await, 429);
    is_held(begun.elapsed(), 1);
}

#[tokio::test(start_paused = true)]
async fn k09_what_is_refused_without_asking_for_a_token_waits_too() {
    let house = House::flooded().await;
    let requests = [
        get("/no-such-path", None),
        get("/events/publish", None),
        get("/system/info", None),
        get("/devices", None).replace("localhost:7070", "evil.example"),
        get("/devices", None).replace("authorization: Bearer", "authorization: Basic"),
    ];
    for request in requests {
        let (mut line, begun) = (house.connect(), Instant::now());
        line.send(&request).await;
        assert_eq!(line.status().await, 429, "{request}");
        is_held(begun.elapsed(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn k09_requests_sent_without_waiting_are_answered_in_their_order() {
    let house = House::flooded().await;
    let (mut line, begun) = (house.connect(), Instant::now());
    line.send(&[guess(), guess(), get("/devices", Some(TOKEN)), guess()].concat()).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(line.status().await);
    }
    assert_eq!(statuses, [429, 429, 200, 429]);
    is_held(begun.elapsed(), 3);
}

#[tokio::test(start_paused = true)]
async fn k09_a_body_is_not_waited_for_and_not_kept() {
    let house = House::flooded().await;
    let (mut line, begun) = (house.connect(), Instant::now());
    let length = 1024 * 1024;
    line.send(&guess().replace("GET", "POST").replace("\r\n\r\n", &format!("\r\ncontent-length: {length}\r\n\r\n")))
        .await;
    // The connection in memory holds 64 KiB: what is taken beyond that, the hub has taken.
    let (mut reader, mut writer) = tokio::io::split(line.0.into_inner());
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while sent < length && timeout(HOLD / 2, writer.write_all(&[b'x'; 1024])).await.is_ok_and(|sent| sent.is_ok()) {
            sent += 1024;
        }
        sent
    });
    let mut answer = Vec::new();
    reader.read_to_end(&mut answer).await.expect("an answer, and the end of the connection");
    assert!(answer.starts_with(b"HTTP/1.1 429 "), "{}", String::from_utf8_lossy(&answer));
    is_held(begun.elapsed(), 1);
    let sent = sending.await.expect("it sends");
    assert!(sent <= 3 * 64 * 1024, "the hub took {sent} bytes of a body that nobody reads");
}

#[tokio::test(start_paused = true)]
async fn k09_who_leaves_gives_its_place_back_at_once() {
    let house = House::flooded().await;
    let mut line = house.connect();
    line.send(&guess()).await;
    let begun = Instant::now();
    // No answer was held before.
    until(|| house.context.tarpit.is_flooded()).await;
    drop(line);
    until(|| house.places.available_permits() == MAX_CONNECTIONS).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn e01_a_module_far_over_its_own_limit_waits_and_then_may_again() {
    let house = House::new().await;
    let mut line = house.connect();
    let mut ask = async || {
        let begun = Instant::now();
        line.send(&get("/devices", Some(TOKEN))).await;
        (line.status().await, begun.elapsed())
    };
    for number in 0..200 {
        let expected = if number < 100 { 200 } else { 429 };
        assert_eq!(ask().await, (expected, Duration::ZERO), "request {number}");
    }
    let (status, elapsed) = ask().await;
    assert_eq!(status, 429);
    is_held(elapsed, 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask().await, (200, Duration::ZERO));
}
