//! Approved egress: the CONNECT proxy of a module, over a small internet (protocol, section 1).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use selena_core::egress::Place;
use selena_types::EgressRule;
use selena_vault::GuardedDial;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    dns::{
        Record::{A, Aaaa},
        Said::{NoSuchName, Nothing, Records},
    },
    hub::Hub,
    proxy::until,
    world::{OWN_V4, Site, World, in_a_world, raw},
};

const HOST: &str = "api.example.com";
const PRIVATE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 5);
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most tunnels of a module.
const LIMIT: usize = 32;

fn rule(host: &str, port: u16, lan: bool) -> EgressRule {
    EgressRule { host: host.to_owned(), port, protocol: "tcp".to_owned(), lan }
}

/// A server that sends back what it hears, after a word of its own.
fn echo(word: &'static str) -> Site {
    raw(move |mut stream| async move {
        stream.write_all(word.as_bytes()).await?;
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.map(drop)
    })
}

/// Sends a request; gives the connection, the head of the answer, and nothing of what comes behind it.
async fn ask(proxy: SocketAddr, request: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

fn connect_to(place: &str) -> String {
    format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n")
}

/// A tunnel that stands.
async fn tunnel(proxy: SocketAddr, place: &str) -> TcpStream {
    let (stream, head) = ask(proxy, &connect_to(place)).await;
    assert_eq!(head, "HTTP/1.1 200 Connection Established\r\n\r\n", "{place}");
    stream
}

/// A refusal: status and code, and its head.
async fn refusal(proxy: SocketAddr, request: &str) -> ((u16, String), String) {
    let (mut stream, head) = ask(proxy, request).await;
    let mut body = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut body)).await.unwrap().unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    ((status, body["code"].as_str().unwrap().to_owned()), head)
}

async fn code(proxy: SocketAddr, place: &str) -> (u16, String) {
    refusal(proxy, &connect_to(place)).await.0
}

async fn hears(stream: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    timeout(PATIENCE, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, text.as_bytes());
}

/// Details and counts of the audit records of a kind.
async fn recorded(hub: &Hub, event: &str) -> Vec<(String, i64)> {
    hub.api.flush_audit();
    let records = hub.audit(event).await;
    assert!(records.iter().all(|record| record.subject == "lamp"), "{records:?}");
    records.into_iter().map(|record| (record.detail, record.count)).collect()
}

async fn recorded_details(hub: &Hub, event: &str) -> Vec<String> {
    let mut details: Vec<_> = recorded(hub, event).await.into_iter().map(|(detail, _)| detail).collect();
    details.sort();
    details.dedup();
    details
}

fn nobody(world: &World) {
    assert_eq!(world.connections(), [] as [IpAddr; 0], "nothing was connected to");
}

#[test]
fn a_granted_place_is_reached_and_each_tunnel_is_recorded() {
    in_a_world(|world| async move {
        let hub = Hub::without_secrets().await;
        let address = world.publish_site(HOST, echo("hello "));
        world.dns.set("a.cdn.example.com", move |_| Records(vec![A(address)]));
        let (proxy, _served) = hub.egress(vec![rule(HOST, 443, false), rule("*.cdn.example.com", 8443, false)]);
        for place in ["api.example.com:443", "API.Example.com:443", "a.cdn.example.com:8443"] {
            let mut stream = tunnel(proxy, place).await;
            stream.write_all(b"world").await.unwrap();
            hears(&mut stream, "hello world").await;
            stream.shutdown().await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the end of one side is told to the other");
        }
        // What comes with the request is for the place too.
        let (mut stream, _) = ask(proxy, &format!("{}early", connect_to("api.example.com:443"))).await;
        hears(&mut stream, "hello early").await;
        let counts: i64 = recorded(&hub, "egress").await.into_iter().map(|(_, count)| count).sum();
        assert_eq!(counts, 4);
        let details = ["a.cdn.example.com:8443 connected", "api.example.com:443 connected"];
        assert_eq!(recorded_details(&hub, "egress").await, details);
        assert_eq!(world.connections(), [IpAddr::from(address); 4]);
    });
}

#[test]
fn any_other_place_is_refused_and_recorded_and_no_name_is_asked_for() {
    in_a_world(|world| async move {
        let hub = Hub::without_secrets().await;
        let address = world.publish_site(HOST, echo(""));
        world.publish_site("evil.example.com", echo(""));
        let (proxy, _served) = hub.egress(vec![rule(HOST, 443, false), rule("*.cdn.example.com", 443, true)]);
        let literal = format!("{address}:443");
        let places = [
            "127.0.0.1:7070",
            "[::1]:443",
            literal.as_str(),
            "api.example.com.evil.com:443",
            "api.example.com:8443",
            "cdn.example.com:443",
            "evil.example.com:443",
        ];
        for place in places {
            assert_eq!(code(proxy, place).await, (403, "egress_denied".to_owned()), "{place}");
        }
        let mut denied = places.to_vec();
        denied.sort_unstable();
        assert_eq!(recorded_details(&hub, "egress_denied").await, denied);
        assert_eq!(recorded(&hub, "egress").await, []);
        assert_eq!(world.dns.names(), [""; 0]);
        nobody(&world);
    });
}

#[test]
fn u05_u06_u10_a_name_with_an_address_that_is_not_outside_is_refused() {
    in_a_world(|world| async move {
        let hub = Hub::without_secrets().await;
        let (proxy, _served) = hub.egress(vec![rule(HOST, 443, false), rule(HOST, 7070, false)]);
        let public = A(Ipv4Addr::new(93, 184, 216, 1));
        for wrong in [
            vec![A(PRIVATE)],
            vec![A(Ipv4Addr::LOCALHOST)],
            vec![A(OWN_V4)],
            vec![A(Ipv4Addr::new(169, 254, 169, 254))],
            vec![Aaaa("fd00::5".parse().unwrap())],
            vec![public.clone(), A(PRIVATE)],
        ] {
            let shown = format!("{wrong:?}");
            world.dns.set(HOST, move |_| Records(wrong.clone()));
            for port in [443, 7070] {
                let refused = code(proxy, &format!("{HOST}:{port}")).await;
                assert_eq!(refused, (403, "egress_address".to_owned()), "{shown}");
            }
        }
        let details = ["api.example.com:443 egress_address", "api.example.com:7070 egress_address"];
        assert_eq!(recorded_details(&hub, "egress").await, details);
        nobody(&world);
    });
}

#[test]
fn u09_the_checked_address_is_the_one_that_is_connected_to() {
    in_a_world(|world| async move {
        let hub = Hub::without_secrets().await;
        let public = world.publish_site(HOST, echo("public"));
        world.place(PRIVATE, echo("private"));
        world.dns.set(HOST, move |before| Records(vec![A(if before == 0 { public } else { PRIVATE })]));
        let (proxy, _served) = hub.egress(vec![rule(HOST, 443, false)]);
        hears(&mut tunnel(proxy, "api.example.com:443").await, "public").await;
        assert_eq!(world.dns.asked(HOST), 1, "a name is resolved once");
        assert_eq!(code(proxy, "api.example.com:443").await.1, "egress_address", "nothing of the first answer is kept");
        assert_eq!(world.connections(), [IpAddr::from(public)]);
    });
}

#[test]
fn lan_lets_private_addresses_through_and_no_other_special_one() {
    in_a_world(|world| async move {
        let hub = Hub::without_secrets().await;
        world.place(PRIVATE, echo("nas"));
        world.dns.set(HOST, move |_| Records(vec![A(PRIVATE)]));
        let rules = vec![rule(HOST, 443, true), rule("192.168.1.5", 8443, true), rule("169.254.169.254", 443, true)];
        let (proxy, _served) = hub.egress(rules);
        for place in ["api.example.com:443", "192.168.1.5:8443"] {
            hears(&mut tunnel(proxy, place).await, "nas").await;
        }
        assert_eq!(code(proxy, "192.168.1.5:443").await.1, "egress_denied", "another port");
        assert_eq!(code(proxy, "169.254.169.254:443").await.1, "egress_address");
        for never in [Ipv4Addr::LOCALHOST, OWN_V4, Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(100, 64, 0, 1)] {
            world.dns.set(HOST, move |_| Records(vec![A(PRIVATE), A(never)]));
            assert_eq!(code(proxy, "api.example.com:443").await.1, "egress_address", "{never}");
        }
        assert_eq!(world.connections(), [IpAddr::from(PRIVATE); 2]);
    });
}

#[test]
fn a_place_that_is_not_there_is_told_apart_from_one_that_is_refused() {
    in_a_world(|world| async move {
        let hub = Hub::without_secrets().await;
        world.dns.set(HOST, |_| NoSuchName);
        let (proxy, _served) = hub.egress(vec![rule(HOST, 443, false), rule("93.184.216.34", 9, false)]);
        for place in ["api.example.com:443", "93.184.216.34:9"] {
            assert_eq!(code(proxy, place).await, (502, "upstream_unreachable".to_owned()));
        }
        let details = ["93.184.216.34:9 upstream_unreachable", "api.example.com:443 upstream_unreachable"];
        assert_eq!(recorded_details(&hub, "egress").await, details);
    });
}

#[test]
fn what_is_not_connect_is_refused_and_recorded() {
    in_a_world(|world| async move {
        let hub = Hub::without_secrets().await;
        let (proxy, _served) = hub.egress(vec![rule(HOST, 443, false)]);
        let (refused, head) =
            refusal(proxy, "GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await;
        assert_eq!(refused, (405, "method_not_allowed".to_owned()));
        assert!(head.contains("\r\nAllow: CONNECT\r\n"), "{head}");
        let long = format!("CONNECT api.example.com:443 HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(60_000));
        for bad in ["CONNECT api.example.com HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1}\r\n\r\n", &long] {
            assert_eq!(refusal(proxy, bad).await.0, (400, "bad_request".to_owned()));
        }
        assert_eq!(recorded(&hub, "method_not_allowed").await, [("egress proxy".to_owned(), 1)]);
        assert!(!recorded(&hub, "bad_request").await.is_empty());
        nobody(&world);
    });
}

#[test]
fn one_tunnel_too_many_is_refused_until_another_one_ends() {
    in_a_world(|world| async move {
        let hub = Hub::without_secrets().await;
        world.publish_site(HOST, echo("hello"));
        let (proxy, _served) = hub.egress(vec![rule(HOST, 443, false)]);
        let mut open = Vec::new();
        for _ in 0..LIMIT {
            open.push(tunnel(proxy, "api.example.com:443").await);
        }
        let (refused, head) = refusal(proxy, &connect_to("api.example.com:443")).await;
        assert_eq!(refused, (429, "rate_limited".to_owned()));
        assert!(head.to_lowercase().contains("\r\nretry-after: 1\r\n"), "{head}");
        assert_eq!(recorded(&hub, "rate_limited").await, [("egress proxy".to_owned(), 1)]);
        for stream in &mut open {
            hears(stream, "hello").await;
        }
        drop(open.pop());
        let freed =
            async { while !ask(proxy, &connect_to("api.example.com:443")).await.1.starts_with("HTTP/1.1 200") {} };
        timeout(PATIENCE, freed).await.expect("the place of a tunnel that ended is free");
    });
}

#[test]
fn u19_names_that_nobody_answers_hold_up_the_module_that_asks_for_them_and_no_other() {
    /// More than are resolved for all modules at once.
    const MANY: usize = 600;
    in_a_world(|world| async move {
        let hub = Hub::without_secrets().await;
        world.publish_site(HOST, echo("hello"));
        let dial = Arc::new(GuardedDial::default());
        let greedy = Arc::new(hub.gate("greedy", vec![rule("*.void.example.com", 443, false)], &dial));
        let name = |number: usize| format!("n{number}.void.example.com");
        (0..MANY).for_each(|number| world.dns.set(&name(number), |_| Nothing));
        let opens: Vec<_> = (0..MANY)
            .map(|number| {
                let (gate, place) = (greedy.clone(), Place::parse(&format!("{}:443", name(number))).unwrap());
                tokio::spawn(async move { gate.open(&place).await })
            })
            .collect();
        until("some are asked for", || world.dns.names().len() >= 4).await;
        let patient = hub.gate("patient", vec![rule(HOST, 443, false)], &dial);
        let place = Place::parse("api.example.com:443").unwrap();
        for _ in 0..20 {
            let opened = timeout(Duration::from_secs(4), patient.open(&place)).await.expect("it is not held up");
            opened.expect("it is connected");
        }
        assert_eq!(world.dns.names().iter().filter(|asked| asked.contains("void")).count(), 4, "the others wait");
        assert!(opens.iter().all(|open| !open.is_finished()), "all of them still wait for an answer");
        opens.iter().for_each(tokio::task::JoinHandle::abort);
    });
}

#[test]
fn n02_connections_that_say_nothing_are_limited_and_ended() {
    in_a_world(|world| async move {
        let hub = Hub::without_secrets().await;
        world.publish_site(HOST, echo("hello"));
        let (proxy, _served) = hub.egress(vec![rule(HOST, 443, false)]);
        let begun = tokio::time::Instant::now();
        let mut silent = Vec::new();
        for _ in 0..LIMIT + 16 {
            let mut stream = TcpStream::connect(proxy).await.unwrap();
            stream.write_all(b"CONNECT api").await.unwrap();
            silent.push(stream);
        }
        let mut refused = TcpStream::connect(proxy).await.unwrap();
        let closed = timeout(PATIENCE, refused.read(&mut [0])).await.expect("one too many is closed at once");
        assert!(matches!(closed, Ok(0) | Err(_)));
        assert_eq!(recorded(&hub, "connection_limit").await, [("connection to the egress proxy".to_owned(), 1)]);
        tokio::time::pause();
        for mut stream in silent {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("head_timeout"), "{answer}");
        }
        assert!((10..12).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        tokio::time::resume();
        let comes_in = async {
            loop {
                let mut stream = TcpStream::connect(proxy).await.unwrap();
                let mut status = [0; 12];
                let asked = stream.write_all(connect_to("api.example.com:443").as_bytes()).await;
                if asked.is_ok() && stream.read_exact(&mut status).await.is_ok() {
                    return status;
                }
            }
        };
        // The places of those that were ended are free as soon as the proxy sees that they are gone.
        assert_eq!(&timeout(PATIENCE, comes_in).await.expect("a place is free again"), b"HTTP/1.1 200");
    });
}

#[test]
fn the_end_of_the_run_cuts_all_tunnels_and_takes_no_more() {
    in_a_world(|world| async move {
        let hub = Hub::without_secrets().await;
        let (told, mut ended) = tokio::sync::mpsc::unbounded_channel();
        let told = Arc::new(told);
        let site = raw(move |mut stream| {
            let told = told.clone();
            async move {
                stream.write_all(b"hello").await?;
                let rest = stream.read(&mut [0]).await;
                told.send(rest.unwrap_or(0)).map_err(io::Error::other)
            }
        });
        world.publish_site(HOST, site);
        let (proxy, served) = hub.egress(vec![rule(HOST, 443, false)]);
        let mut streams = Vec::new();
        for _ in 0..3 {
            let mut stream = tunnel(proxy, "api.example.com:443").await;
            hears(&mut stream, "hello").await;
            streams.push(stream);
        }
        let mut silent = TcpStream::connect(proxy).await.unwrap();
        silent.write_all(b"CONNECT api").await.unwrap();
        served.shut_down();
        for mut stream in streams.into_iter().chain([silent]) {
            let cut = timeout(PATIENCE, stream.read(&mut [0])).await.expect("it is cut");
            assert!(matches!(cut, Ok(0) | Err(_)));
        }
        for _ in 0..3 {
            assert_eq!(timeout(PATIENCE, ended.recv()).await.expect("the host is told"), Some(0));
        }
        assert!(TcpStream::connect(proxy).await.is_err(), "nobody listens any more");
    });
}
