//! A way to Docker that counts the requests which change something, kills the daemon at one of them, or answers for it.
//!
//! A connection carries one request: `Connection: close` is put into each, so that nothing but its head need be read.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::Engine;

const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What the gate answers instead of Docker (fault R03).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Everything passes.
    #[default]
    None,
    /// Connections are taken, and nothing is ever answered.
    Hangs,
    /// Every request is answered with 500.
    Fails,
    /// Every request is answered with 200 and something that is no JSON.
    Babbles,
}

/// A socket in front of Docker's.
#[derive(Debug)]
pub struct Gate {
    shared: Arc<Shared>,
    dir: TempDir,
}

#[derive(Debug)]
struct Shared {
    docker: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    fault: Fault,
    /// The daemon that is killed, and at which point; 0 for none.
    daemon: Option<Pid>,
    die_at: u64,
    counts: bool,
    died: bool,
    points: Vec<String>,
}

impl Gate {
    /// A gate to that Docker.
    ///
    /// # Panics
    /// If there is no temporary directory.
    #[must_use]
    pub fn new(docker: &Engine) -> Self {
        let dir = tempfile::Builder::new().prefix("selena-gate-").tempdir().expect("a temporary directory");
        let listener = UnixListener::bind(dir.path().join("docker.sock")).expect("a socket");
        let docker = docker.socket().to_owned();
        let shared = Arc::new(Shared { docker, state: Mutex::default(), changed: Condvar::new() });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&served);
                thread::spawn(move || {
                    let _one_side_went = shared.pass(&client);
                    let _gone_already = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self { shared, dir }
    }

    /// Docker as it is behind the gate.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine::at(&self.dir.path().join("docker.sock"))
    }

    /// From now on everything is answered so.
    pub fn set(&self, fault: Fault) {
        self.shared.state().fault = fault;
        self.shared.changed.notify_all();
    }

    /// From now on points are counted, and at that number the daemon is killed; 0 for none.
    pub fn count(&self, daemon: u32, die_at: u64) {
        let mut state = self.shared.state();
        let daemon = Some(Pid::from_raw(daemon.cast_signed()));
        *state = State { daemon, die_at, counts: true, fault: state.fault, ..State::default() };
    }

    /// The points that were reached; counts no more.
    #[must_use]
    pub fn counted(&self) -> Vec<String> {
        let mut state = self.shared.state();
        state.counts = false;
        state.points.clone()
    }

    /// Whether the daemon was killed at one of them.
    #[must_use]
    pub fn killed(&self) -> bool {
        self.shared.state().died
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }

    /// One request and its answer.
    fn pass(&self, mut client: &UnixStream) -> io::Result<()> {
        let head = Head::read(client)?;
        let fault = self.state().fault;
        match fault {
            Fault::None => {}
            Fault::Hangs => {
                let waited = self.changed.wait_while(self.state(), |state| state.fault == Fault::Hangs);
                drop(waited.expect("nothing panics while it holds the state"));
                return Ok(());
            }
            Fault::Fails => return answer(client, "500 Internal Server Error", "{\"message\":\"it is broken\"}"),
            Fault::Babbles => return answer(client, "200 OK", "{\"Id\": nothing that is JSON"),
        }
        self.point("before", &head)?;
        let docker = UnixStream::connect(&self.docker)?;
        (&docker).write_all(&head.to_docker())?;
        self.point("during", &head)?;
        thread::scope(|scope| {
            let (from, to) = (client, &docker);
            scope.spawn(move || {
                let _ended = copy(from, to);
                let _gone_already = to.shutdown(Shutdown::Write);
            });
            let mut first = vec![0; 16 * 1024];
            let answered = (&docker).read(&mut first).and_then(|bytes| {
                self.point("after", &head)?;
                client.write_all(&first[..bytes])?;
                if bytes > 0 { copy(&docker, client) } else { Ok(()) }
            });
            let _gone_already = client.shutdown(Shutdown::Both);
            answered
        })
    }

    /// A request that changes something is here; an error if the daemon has just died of that.
    fn point(&self, when: &str, head: &Head) -> io::Result<()> {
        if !head.changes {
            return Ok(());
        }
        // Held to the end: nothing else passes while the daemon dies.
        let mut state = self.state();
        if !state.counts {
            return Ok(());
        }
        let number = state.points.len() as u64 + 1;
        state.points.push(format!("{number} {when} {}", head.what));
        if number == state.die_at {
            state.counts = false;
            state.died = true;
            kill(state.daemon.expect("it counts for a daemon"), Signal::SIGKILL)?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

/// Passes on what comes, as it comes.
fn copy(mut from: &UnixStream, mut to: &UnixStream) -> io::Result<()> {
    io::copy(&mut from, &mut to).map(|_| ())
}

fn answer(mut client: &UnixStream, status: &str, body: &str) -> io::Result<()> {
    let head = "Content-Type: application/json\r\nConnection: close\r\nContent-Length: ";
    write!(client, "HTTP/1.1 {status}\r\n{head}{}\r\n\r\n{body}", body.len())
}

/// The head of a request, with what came with it.
struct Head {
    bytes: Vec<u8>,
    /// Where the first line ends.
    line: usize,
    changes: bool,
    what: String,
}

impl Head {
    fn read(mut client: &UnixStream) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            let read = client.read(&mut chunk)?;
            if read == 0 || bytes.len() > MAX_HEAD_BYTES {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&chunk[..read]);
        }
        let line = bytes.windows(2).position(|two| two == b"\r\n").expect("a head has lines") + 2;
        let text = String::from_utf8_lossy(&bytes[..line]).into_owned();
        let mut words = text.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Ok(Self { line, changes: !["GET", "HEAD"].contains(&method), what: format!("{method} {}", route(path)), bytes })
    }

    fn to_docker(&self) -> Vec<u8> {
        [&self.bytes[..self.line], b"Connection: close\r\n", &self.bytes[self.line..]].concat()
    }
}

/// A path without version, query, and what only one thing is called by.
fn route(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let parts = path.split('/').filter(|part| !part.is_empty() && !part.starts_with("v1."));
    let is_word = |part: &&str| part.len() < 20 && !part.contains(['-', ':']);
    parts.map(|part| if is_word(&part) { format!("/{part}") } else { "/…".to_owned() }).collect()
}
