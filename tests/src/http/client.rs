//! Requests to the hub, to a module and to Docker.

use std::io::{self, Read, Write};

use serde_json::Value;

use super::{Answer, Door, Lines, answer::read_head};

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body of that type.
    #[must_use]
    pub fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }.header("Content-Type", content_type)
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// With a file in a form.
    #[must_use]
    pub fn form(self, field: &str, file: &[u8]) -> Self {
        const BOUNDARY: &str = "a-boundary-that-stands-in-no-package";
        let mut body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"module.zip\"\r\n\
             Content-Type: application/zip\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(file);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        self.body(&format!("multipart/form-data; boundary={BOUNDARY}"), body)
    }
}

/// A client: each request is a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    door: Door,
    host: String,
    prefix: &'static str,
    token: Option<String>,
}

impl Client {
    /// A client whose paths begin below `prefix`.
    #[must_use]
    pub fn new(door: Door, host: &str, prefix: &'static str) -> Self {
        Self { door, host: host.to_owned(), prefix, token: None }
    }

    /// The same with a bearer token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same without a token.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// Where it connects.
    #[must_use]
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// If there is no connection, or no answer.
    pub fn try_send(&self, request: &Request) -> io::Result<Answer> {
        let (mut answer, mut body) = self.begin(request, true)?;
        body.read_to_end(&mut answer.body)?;
        Ok(answer)
    }

    /// Sends a request and reads its answer.
    ///
    /// # Panics
    /// If there is no connection, or no answer.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        match self.try_send(request) {
            Ok(answer) => answer,
            Err(error) => panic!("{} {} at {:?}: {error}", request.method, request.path, self.door),
        }
    }

    /// Follows server-sent events.
    ///
    /// # Panics
    /// If there is no connection, or another answer than 200.
    #[track_caller]
    pub fn follow(&self, path: &str) -> Lines {
        match self.begin(&Request::new("GET", path), false) {
            Ok((answer, body)) => {
                assert_eq!(answer.status, 200, "GET {path}");
                assert_eq!(answer.header("content-type"), Some("text/event-stream"));
                Lines(body)
            }
            Err(error) => panic!("GET {path} at {:?}: {error}", self.door),
        }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send(&Request::new("GET", path))
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.send(&Request::new("DELETE", path))
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&Request::new("POST", path).json(body))
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(&Request::new("PATCH", path).json(body))
    }

    fn begin(&self, request: &Request, once: bool) -> io::Result<(Answer, Box<dyn io::BufRead + Send>)> {
        let mut stream = self.door.open()?;
        let mut head = format!("{} {}{} HTTP/1.1\r\n", request.method, self.prefix, request.path);
        if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {}\r\n", self.host);
        }
        if let Some(token) = &self.token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in &request.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let close = if once { "Connection: close\r\n" } else { "" };
        head += &format!("Content-Length: {}\r\n{close}\r\n", request.body.len());
        // A server may answer before it has read everything; its answer is what counts.
        let _refused_before_the_end = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&request.body));
        read_head(stream)
    }
}
