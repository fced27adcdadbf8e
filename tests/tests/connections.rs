//! Connections that are held open and say nothing (faults N02 and R12).

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use selena_tests::{Hub, Package, http::Request, wait};

/// Most connections of one listener.
const LIMIT: usize = 64;

fn half_open(hub: &Hub, count: usize) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = TcpStream::connect(("127.0.0.1", hub.port())).expect("the port takes connections");
        let _refused = stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: ");
        stream
    };
    (0..count).map(connect).collect()
}

fn answers(hub: &Hub) -> bool {
    hub.client().try_send(&Request::new("GET", "/devices")).is_ok_and(|answer| answer.status == 200)
}

#[test]
fn n02_some_idle_connections_hinder_nobody() {
    let hub = Hub::start();
    let _idle = half_open(&hub, LIMIT - 10);
    let begun = Instant::now();
    for _ in 0..10 {
        wait::until("the API answers", 2, || answers(&hub));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "ten answers took {:?}", begun.elapsed());
}

#[test]
fn n02_r12_a_hundred_idle_connections_are_ended_and_the_hub_recovers() {
    let mut hub = Hub::start();
    let begun = Instant::now();
    let mut idle = half_open(&hub, 100);
    // The admin socket and the modules have limits of their own.
    let _people_still_come_in = hub.admin().get("/devices").expect(200);
    let closed = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        match stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    };
    let refused = idle.iter_mut().map(closed).filter(|closed| *closed).count();
    assert_eq!(refused, 100 - LIMIT, "the listener takes {LIMIT}");
    wait::until("the API answers again", 15, || answers(&hub));
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert!(hub.lives());
}

#[test]
fn r12_ten_thousand_half_open_connections_of_a_module_harm_only_itself() {
    const CONNECTIONS: usize = 10_000;
    const HELD: usize = 200;
    let mut hub = Hub::start();
    let one = hub.install(&Package::probe("one", 8100));
    let two = hub.install(&Package::probe("two", 8101));
    let mut held = std::collections::VecDeque::new();
    for number in 0..CONNECTIONS {
        let mut stream = one.idle_connection(7070);
        // Half a head, and then nothing: it is never answered.
        let _closed_already = stream.write_all(b"GET /api/v1/devices HTTP/1.1\r\nHost: ");
        held.push_back(stream);
        if held.len() > HELD {
            held.pop_front();
        }
        if number % 1000 == 0 {
            let _host = hub.client().get("/devices").expect(200);
            let _other = two.core().get("/devices").expect(200);
        }
    }
    drop(held);
    wait::until("the module gets in again", 15, || {
        one.core().try_send(&Request::new("GET", "/devices")).is_ok_and(|answer| answer.status == 200)
    });
    assert!(hub.lives());
    let open = std::fs::read_dir(format!("/proc/{}/fd", hub.pid())).expect("it lives").count();
    assert!(open < 200, "{open} descriptors are open");
}

#[test]
fn r12_a_module_that_floods_its_listener_harms_only_itself() {
    let hub = Hub::start();
    let one = hub.install(&Package::probe("one", 8100));
    let two = hub.install(&Package::probe("two", 8101));
    let idle: Vec<_> = (0..LIMIT + 20).map(|_| one.idle_connection(7070)).collect();
    let _host = hub.client().get("/devices").expect(200);
    let _other = two.core().get("/devices").expect(200);
    drop(idle);
    wait::until("the module gets in again", 15, || {
        one.core().try_send(&Request::new("GET", "/devices")).is_ok_and(|answer| answer.status == 200)
    });
}
