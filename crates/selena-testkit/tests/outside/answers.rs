//! Answers that would lead elsewhere, or are too much.

use std::{
    io::Write,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use flate2::{Compression, write::GzEncoder};
use selena_core::ports::{HttpsAnswer, HttpsError};
use tokio::io::AsyncWriteExt;

use crate::world::{Handler, World, answers, handler, in_a_world, replies};

const HOST: &str = "api.example.com";
const URL: &str = "https://api.example.com/";
/// What [`World::get`] allows.
const LIMIT: usize = 1024 * 1024;

async fn asked(world: &World, site: Handler) -> Result<HttpsAnswer, HttpsError> {
    world.publish(HOST, site);
    world.get(URL).await
}

#[test]
fn u12_no_redirect_is_followed() {
    in_a_world(|world| async move {
        for status in [301, 302, 303, 307, 308] {
            for location in ["https://192.168.0.1/", "http://api.example.com/", "https://evil.example.com/", URL] {
                let answer = asked(&world, replies(status, &format!("Location: {location}\r\n"), "")).await.unwrap();
                assert_eq!(answer.status, status);
                assert!(answer.headers.contains(&("location".to_owned(), location.to_owned())));
            }
        }
        assert_eq!(world.connections().len(), 20, "one connection for each request");
        assert!(world.connections().iter().all(|to| matches!(to, IpAddr::V4(to) if to.octets()[..2] == [93, 184])));
        assert_eq!(world.dns.names(), [HOST]);
    });
}

#[test]
fn u15_an_answer_that_announces_too_much_is_not_read() {
    in_a_world(|world| async move {
        let outcome = asked(&world, answers("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")).await;
        assert!(matches!(outcome, Err(HttpsError::TooLarge { .. })), "{outcome:?}");
        let outcome = asked(&world, answers("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n")).await;
        assert!(matches!(outcome, Err(HttpsError::Broken { .. })), "{outcome:?}");
    });
}

/// A server that begins so, and goes on with the same piece without an end; counts the bytes it could send.
fn endless(head: &'static str, piece: Vec<u8>, sent: &Arc<AtomicUsize>) -> Handler {
    let (piece, sent): (Arc<[u8]>, _) = (piece.into(), sent.clone());
    handler(move |mut asked| {
        let (piece, sent) = (piece.clone(), sent.clone());
        async move {
            asked.stream.write_all(head.as_bytes()).await?;
            loop {
                asked.stream.write_all(&piece).await?;
                sent.fetch_add(piece.len(), Ordering::Relaxed);
            }
        }
    })
}

#[test]
fn u15_an_endless_answer_is_left_at_the_limit() {
    in_a_world(|world| async move {
        let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
        let sent = Arc::new(AtomicUsize::new(0));
        for (head, piece) in [
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk),
            ("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 0x4000]),
        ] {
            let outcome = asked(&world, endless(head, piece, &sent)).await;
            assert!(matches!(outcome, Err(HttpsError::TooLarge { .. })), "{outcome:?}");
        }
        // What the sockets hold was sent too, but no gigabyte.
        assert!(sent.load(Ordering::Relaxed) < 32 * LIMIT, "{sent:?}");
    });
}

#[test]
fn u15_an_answer_of_exactly_the_limit_is_whole_and_one_more_byte_is_too_much() {
    in_a_world(|world| async move {
        assert_eq!(asked(&world, replies(200, "", &"x".repeat(LIMIT))).await.unwrap().body.len(), LIMIT);
        let outcome = asked(&world, replies(200, "", &"x".repeat(LIMIT + 1))).await;
        assert!(matches!(outcome, Err(HttpsError::TooLarge { .. })), "{outcome:?}");
    });
}

#[test]
fn u15_what_is_compressed_is_not_unpacked() {
    in_a_world(|world| async move {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![0; 64 * LIMIT]).unwrap();
        let bomb = bomb.finish().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bomb.len());
        let answer = asked(&world, answers([head.as_bytes(), &bomb].concat())).await.unwrap();
        assert!(answer.body == bomb, "the bytes are those that came");
        assert!(answer.headers.contains(&("content-encoding".to_owned(), "gzip".to_owned())));
        assert!(world.requests()[0].to_lowercase().contains("accept-encoding: identity\r\n"));
    });
}

#[test]
fn u15_a_head_has_limits() {
    in_a_world(|world| async move {
        let head = |headers: String| answers(format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n"));
        let many = |count| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
        assert_eq!(asked(&world, head(many(90))).await.unwrap().status, 200);
        for headers in [many(10_000), format!("X-Long: {}\r\n", "x".repeat(1024 * 1024))] {
            let outcome = asked(&world, head(headers)).await;
            assert!(matches!(outcome, Err(HttpsError::Broken { .. })), "{outcome:?}");
        }
        let sent = Arc::new(AtomicUsize::new(0));
        for (head, piece) in [
            ("HTTP/1.1 200 OK\r\nX-Long: ", &b"x"[..]),
            ("HTTP/1.1 200 OK\r\n", b"X-Again: 1\r\n"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: 1\r\n"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"extension"),
        ] {
            let outcome = asked(&world, endless(head, piece.repeat(1024), &sent)).await;
            assert!(matches!(outcome, Err(HttpsError::Broken { .. })), "{head}: {outcome:?}");
        }
    });
}

#[test]
fn what_is_no_http_is_an_error() {
    in_a_world(|world| async move {
        for bytes in [
            "",
            "garbage\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nBad Header: 1\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
        ] {
            let outcome = asked(&world, answers(bytes)).await;
            assert!(matches!(outcome, Err(HttpsError::Broken { .. })), "{bytes:?}: {outcome:?}");
        }
    });
}
