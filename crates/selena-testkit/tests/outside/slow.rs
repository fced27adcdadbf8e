//! U16: hosts that take their time do not get more of it than there is.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket, sockopt::ReusePort,
};
use selena_core::ports::HttpsError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    certificates::server,
    dns::{Record::A, Said::Records},
    world::{Site, World, handler, in_a_world, raw, replies},
};

const HOST: &str = "api.example.com";
const URL: &str = "https://api.example.com/";
const TIMEOUT: Duration = Duration::from_millis(800);

async fn is_late(world: &World) {
    let begun = Instant::now();
    let outcome = world.get_within(URL, TIMEOUT).await;
    let took = begun.elapsed();
    assert!(matches!(outcome, Err(HttpsError::Timeout { .. })), "{outcome:?}");
    assert!((TIMEOUT..TIMEOUT * 4).contains(&took), "{took:?}");
}

/// An address whose queue of connections is full: who connects hears nothing.
fn deaf(address: Ipv4Addr) -> (OwnedFd, Vec<TcpStream>) {
    let listener = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&listener, ReusePort, &true).unwrap();
    bind(listener.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(address, 443))).unwrap();
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let connect = |_| TcpStream::connect_timeout(&(address, 443).into(), Duration::from_millis(200)).ok();
    let connections: Vec<_> = (0..16).map_while(connect).collect();
    assert!(connections.len() < 16, "the queue does not fill");
    (listener, connections)
}

#[test]
fn u16_a_connection_that_does_not_come_about() {
    in_a_world(|world| async move {
        let address = Ipv4Addr::new(93, 184, 217, 1);
        let _full = deaf(address);
        world.dns.set(HOST, move |_| Records(vec![A(address)]));
        is_late(&world).await;
    });
}

#[test]
fn u16_a_silent_address_does_not_use_up_the_time_of_the_next() {
    in_a_world(|world| async move {
        let (first, second) = (Ipv4Addr::new(93, 184, 217, 1), Ipv4Addr::new(93, 184, 217, 2));
        let _full = deaf(first);
        let identity = world.authority.sign(&server(&[HOST]));
        world.place(second, Site::Tls(identity.server_config(), replies(200, "", "")));
        world.dns.set(HOST, move |_| Records(vec![A(first), A(second)]));
        assert_eq!(world.get_within(URL, Duration::from_secs(4)).await.unwrap().status, 200);
    });
}

#[test]
fn u16_a_handshake_that_does_not_begin_and_one_that_drips() {
    in_a_world(|world| async move {
        let silent =
            raw(|mut stream| async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop) });
        world.publish_site(HOST, silent);
        is_late(&world).await;
        let drips = raw(|mut stream| async move {
            // The head of a long record, and then its bytes one by one.
            stream.write_all(&[0x16, 3, 3, 0x3f, 0xff]).await?;
            drip(&mut stream).await
        });
        world.publish_site(HOST, drips);
        is_late(&world).await;
    });
}

async fn drip(stream: &mut (impl AsyncWriteExt + Unpin)) -> io::Result<()> {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        stream.write_all(b"x").await?;
        stream.flush().await?;
    }
}

#[test]
fn u16_a_first_byte_that_does_not_come() {
    in_a_world(|world| async move {
        let silent = handler(|mut asked| async move { asked.stream.read_u8().await.map(drop) });
        world.publish(HOST, silent);
        is_late(&world).await;
    });
}

#[test]
fn u16_a_head_and_a_body_that_drip() {
    in_a_world(|world| async move {
        for head in [
            "HTTP/1.1 200 OK\r\nX-Slow: ",
            "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
        ] {
            let drips = handler(move |mut asked| async move {
                asked.stream.write_all(head.as_bytes()).await?;
                drip(&mut asked.stream).await
            });
            world.publish(HOST, drips);
            is_late(&world).await;
        }
    });
}

#[test]
fn u16_answers_before_the_answer_have_no_end_of_their_own() {
    in_a_world(|world| async move {
        let early = handler(|mut asked| async move {
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            loop {
                tick.tick().await;
                asked.stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await?;
                asked.stream.flush().await?;
            }
        });
        world.publish(HOST, early);
        is_late(&world).await;
    });
}
