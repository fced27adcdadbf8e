//! A receiver of webhooks beside the hub, for the development token.

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use serde_json::Value;

use crate::wait;

/// A webhook that arrived.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// When.
    pub at: Instant,
    /// The path it was sent to.
    pub path: String,
    /// Its headers, with names in lower case.
    pub headers: HashMap<String, String>,
    /// Its raw body.
    pub body: Vec<u8>,
    peer: Option<SocketAddr>,
}

impl Webhook {
    /// What tells its connection from others: the address of the other end.
    #[must_use]
    pub fn connection(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The event's type.
    #[must_use]
    pub fn event_type(&self) -> String {
        self.event()["type"].as_str().unwrap_or_default().to_owned()
    }

    /// A header, or an empty text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What a receiver answers.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    /// This status.
    Status(u16),
    /// Nothing: the connection stays open and silent.
    Silence,
}

/// A receiver; it lives until the test program ends.
#[derive(Clone, Debug)]
pub struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Webhook>>>,
}

impl Receiver {
    /// A receiver that answers 200.
    #[must_use]
    pub fn start() -> Self {
        Self::answering(|_| Reply::Status(200))
    }

    /// A receiver that answers the n-th webhook, counted from 0, as `reply` says.
    #[must_use]
    pub fn answering(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of localhost is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let receiver = Self { port, received: Arc::default() };
        let (serving, reply) = (receiver.clone(), Arc::new(reply));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serving, reply) = (serving.clone(), reply.clone());
                thread::spawn(move || serving.converse(&stream, &*reply));
            }
        });
        receiver
    }

    /// A URL of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// What arrived so far.
    #[must_use]
    pub fn received(&self) -> Vec<Webhook> {
        self.received.lock().expect("nothing panics while it holds the webhooks").clone()
    }

    /// The types of the events that arrived so far.
    #[must_use]
    pub fn types(&self) -> Vec<String> {
        self.received().iter().map(Webhook::event_type).collect()
    }

    /// Waits for that many webhooks.
    ///
    /// # Panics
    /// If they do not arrive within `secs` seconds.
    #[track_caller]
    #[must_use]
    pub fn wait_for(&self, count: usize, secs: u64) -> Vec<Webhook> {
        wait::for_some(&format!("{count} webhooks"), secs, || Some(self.received()).filter(|all| all.len() >= count))
    }

    fn converse(&self, stream: &TcpStream, reply: &dyn Fn(usize) -> Reply) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(webhook) = read(&mut reader, stream.peer_addr().ok())? {
            let number = {
                let mut received = self.received.lock().expect("nothing panics while it holds the webhooks");
                received.push(webhook);
                received.len() - 1
            };
            match reply(number) {
                Reply::Status(status) => {
                    // In one piece, or else the kernel would hold back the second one for 40 ms.
                    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                    (&mut &*stream).write_all(answer.as_bytes())?;
                }
                // Until the hub gives up, and closes.
                Reply::Silence => return reader.read_to_end(&mut Vec::new()).map(drop),
            }
        }
        Ok(())
    }
}

fn read(reader: &mut impl BufRead, peer: Option<SocketAddr>) -> io::Result<Option<Webhook>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    Ok(Some(Webhook { at: Instant::now(), path, headers, body, peer }))
}
