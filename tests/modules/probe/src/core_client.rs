//! The one call a module makes at its start.

use std::{
    env,
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

/// Subscribes `/webhook` of the module's port to event types.
pub(crate) fn subscribe(port: u16, event_types: &Value) -> io::Result<()> {
    let body = json!({ "event_types": event_types, "webhook_url": format!("http://localhost:{port}/webhook") });
    let body = body.to_string();
    let token = env::var("SELENA_MODULE_TOKEN").map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(("127.0.0.1", 7070))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "POST /api/v1/events/subscribe HTTP/1.1\r\nHost: localhost:7070\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 201") { Ok(()) } else { Err(io::Error::other(answer)) }
}
