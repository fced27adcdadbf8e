//! The webhooks' receiver: a few ports, every signature checked, every event counted. A process of its own.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};

use super::{
    control::{self, Doors},
    event::{Received, is_signed},
    helper,
    http::{Head, Wire, content_length},
    tally::Tally,
};

const FINE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}";

/// What a receiver looks at in a delivery's head.
#[derive(Debug, Default)]
struct Delivery {
    is_post: bool,
    signature: Vec<u8>,
    is_first_attempt: bool,
}

/// Receives until the process is ended.
pub(super) async fn run(ports: usize) -> anyhow::Result<()> {
    let tally = Arc::new(Tally::new(ports));
    let mut doors = Doors { control: 0, ports: Vec::new() };
    for receiver in 0..ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        doors.ports.push(listener.local_addr()?.port());
        tokio::spawn(accept(listener, receiver, tally.clone()));
    }
    let asked = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    doors.control = asked.local_addr()?.port();
    helper::say(&serde_json::to_string(&doors)?)?;
    control::serve(asked, tally).await
}

async fn accept(listener: TcpListener, receiver: usize, tally: Arc<Tally>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let tally = tally.clone();
        tokio::spawn(async move {
            if serve(stream, receiver, &tally).await.is_err() {
                tally.take(receiver, None, false);
            }
        });
    }
}

async fn serve(stream: TcpStream, receiver: usize, tally: &Tally) -> anyhow::Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(message) = wire.message(delivery).await? {
        let head = message.meaning;
        let event = Received::parse(message.body).ok();
        let good = head.is_post && head.is_first_attempt && is_signed(message.body, &head.signature);
        tally.take(receiver, event.as_ref(), good);
        wire.write(FINE).await?;
    }
    Ok(())
}

fn delivery(bytes: &[u8]) -> anyhow::Result<Option<Head<Delivery>>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = request.parse(bytes).context("a request that is no HTTP")? else {
        return Ok(None);
    };
    let mut delivery = Delivery { is_post: request.method == Some("POST"), ..Delivery::default() };
    for header in &*request.headers {
        if header.name.eq_ignore_ascii_case("x-selena-signature") {
            delivery.signature = header.value.to_vec();
        } else if header.name.eq_ignore_ascii_case("x-selena-delivery") {
            delivery.is_first_attempt = header.value == b"1";
        }
    }
    let body_bytes = content_length(request.headers)?.unwrap_or_default();
    Ok(Some(Head { meaning: delivery, head_bytes, body_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_known_by_its_head() {
        let head = "POST /hook HTTP/1.1\r\nHost: localhost:1\r\nX-Selena-Signature: sha256=ab\r\n\
            X-Selena-Delivery: 1\r\nContent-Length: 2\r\n\r\n{}";
        let parsed = delivery(head.as_bytes()).unwrap().unwrap();
        assert!(parsed.meaning.is_post && parsed.meaning.is_first_attempt);
        assert_eq!((parsed.meaning.signature.as_slice(), parsed.body_bytes), (&b"sha256=ab"[..], 2));
        assert!(delivery(&head.as_bytes()[..30]).unwrap().is_none());
        assert!(
            !delivery(head.replace("Delivery: 1", "Delivery: 2").as_bytes()).unwrap().unwrap().meaning.is_first_attempt
        );
    }
}
