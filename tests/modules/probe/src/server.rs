//! As much of an HTTP server as the hub and the tests ask of a module.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::{Map, Value, json};

use crate::{acts, trouble};

/// Most webhooks that are kept.
const MAX_WEBHOOKS: usize = 5000;

/// The module's server, and what it was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    webhooks: Arc<Mutex<Vec<Value>>>,
    hangs: Arc<AtomicBool>,
    /// How the next commands are answered: see [`spoilt`].
    spoils: Arc<Mutex<String>>,
}

struct Request {
    method: String,
    path: String,
    headers: Map<String, Value>,
    body: Vec<u8>,
}

impl Server {
    /// Serves for ever, with a thread for each connection.
    pub(crate) fn run(self, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            let server = self.clone();
            thread::spawn(move || server.converse(&stream));
        }
    }

    fn converse(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read(&mut reader)? {
            let how = self.spoils.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
            if request.path == "/webhook/commands" && !how.is_empty() {
                return spoilt(stream, &how);
            }
            let (status, body) = self.answer(&request);
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let mut writer = stream;
            writer.write_all((head + &body).as_bytes())?;
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> (u16, Value) {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/health") if self.hangs.load(Ordering::SeqCst) => loop {
                thread::park();
            },
            ("GET", "/health") => (200, json!({ "status": "ok" })),
            ("GET", "/webhooks") => {
                (200, json!(*self.webhooks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())))
            }
            ("POST", "/webhook") => {
                let mut webhooks = self.webhooks.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if webhooks.len() < MAX_WEBHOOKS {
                    let body = String::from_utf8_lossy(&request.body);
                    webhooks.push(json!({ "headers": request.headers, "body": body }));
                }
                (200, json!({ "ok": true }))
            }
            // Answers with what it got, so that the caller sees it from inside.
            ("POST", "/webhook/commands") => {
                let body = String::from_utf8_lossy(&request.body);
                (200, json!({ "headers": request.headers, "body": body }))
            }
            ("POST", "/act") => self.act(&serde_json::from_slice(&request.body).unwrap_or(Value::Null)),
            _ => (404, json!({ "detail": "the probe has no such path" })),
        }
    }

    fn act(&self, arguments: &Value) -> (u16, Value) {
        let act = arguments["act"].as_str().unwrap_or_default().to_owned();
        if act == "hang" {
            self.hangs.store(true, Ordering::SeqCst);
            return (202, json!({ "begun": act }));
        }
        if act == "spoil" {
            let how = arguments["how"].as_str().unwrap_or_default();
            how.clone_into(&mut self.spoils.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
            return (200, json!({ "begun": act }));
        }
        match acts::act(arguments) {
            Value::Null => {
                let arguments = arguments.clone();
                let begun = json!({ "begun": act });
                thread::spawn(move || trouble::make(&act, &arguments));
                (202, begun)
            }
            seen => (200, seen),
        }
    }
}

/// An answer that no module should give: of 1 GB, one that never ends, or none that is HTTP.
fn spoilt(mut stream: &TcpStream, how: &str) -> io::Result<()> {
    const GIGABYTE: u64 = 1_000_000_000;
    let filler = [b' '; 64 * 1024];
    match how {
        "huge" => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {GIGABYTE}\r\n\r\n")?;
            (0..GIGABYTE / filler.len() as u64).try_for_each(|_| stream.write_all(&filler))
        }
        "endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                write!(stream, "{:x}\r\n", filler.len())?;
                stream.write_all(&filler)?;
                stream.write_all(b"\r\n")?;
            }
        }
        "headers" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                stream.write_all(b"X-One-More: of them\r\n")?;
            }
        }
        "silent" => loop {
            thread::park();
        },
        _ => stream.write_all(b"\x16\x03\x01 this is no HTTP at all\r\n\r\n"),
    }
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Map::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().into());
    }
    let length = headers.get("content-length").and_then(|value| value.as_str()?.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    Ok(Some(Request { method, path, headers, body }))
}
