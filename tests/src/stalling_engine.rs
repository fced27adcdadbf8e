//! A door to Docker on which single requests hang, as those of a daemon do that waits for a broken disk.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex},
    thread,
};

use tempfile::TempDir;

use crate::Engine;

/// A socket behind which Docker is. Dropping it lets everything go on.
#[derive(Debug)]
pub struct StallingEngine {
    dir: TempDir,
    stall: Arc<Stall>,
}

/// What hangs.
#[derive(Debug, Default)]
struct Stall {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Requests hang whose first line has all of these words; none if there are none.
    words: Vec<String>,
    hanging: usize,
}

impl StallingEngine {
    /// Opens the door; nothing hangs yet.
    ///
    /// # Panics
    /// If the socket cannot be made.
    #[must_use]
    pub fn open() -> Self {
        let dir = tempfile::Builder::new().prefix("selena-stall-").tempdir().expect("a temporary directory");
        let listener = UnixListener::bind(dir.path().join("docker.sock")).expect("a socket");
        let stall = Arc::new(Stall::default());
        let shared = stall.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = shared.clone();
                thread::spawn(move || pass(&client, &shared));
            }
        });
        Self { dir, stall }
    }

    /// Docker's API through this door.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine::at(&self.socket())
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// From now on requests hang whose first line has all of these words.
    pub fn stall(&self, words: &[&str]) {
        self.stall.change(|state| state.words = words.iter().map(|word| (*word).to_owned()).collect());
    }

    /// What hangs goes on.
    pub fn go_on(&self) {
        self.stall.change(|state| state.words.clear());
    }

    /// How many requests hang.
    #[must_use]
    pub fn hanging(&self) -> usize {
        self.stall.state.lock().expect("nothing panics while it holds it").hanging
    }
}

impl Drop for StallingEngine {
    fn drop(&mut self) {
        self.go_on();
    }
}

impl Stall {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("nothing panics while it holds it"));
        self.changed.notify_all();
    }

    /// Holds a request back as long as it is one of those.
    fn hold(&self, first_line: &str) {
        let hangs = |state: &State| !state.words.is_empty() && state.words.iter().all(|word| first_line.contains(word));
        let mut state = self.state.lock().expect("nothing panics while it holds it");
        if !hangs(&state) {
            return;
        }
        state.hanging += 1;
        while hangs(&state) {
            state = self.changed.wait(state).expect("nothing panics while it holds it");
        }
        state.hanging -= 1;
    }
}

/// One connection: the hub's client writes the head of a request at once, so its first line stands in one piece.
fn pass(client: &UnixStream, stall: &Stall) {
    let Ok(server) = UnixStream::connect(Engine::default().socket()) else { return };
    thread::scope(|scope| {
        scope.spawn(|| {
            let _broken_or_over = copy(&server, client, &|_| {});
            let _closed_already = client.shutdown(Shutdown::Both);
        });
        let _broken_or_over = copy(client, &server, &|line| stall.hold(line));
        let _closed_already = server.shutdown(Shutdown::Both);
    });
}

fn copy(mut from: &UnixStream, mut to: &UnixStream, before: &dyn Fn(&str)) -> io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        let bytes = piece.get(..read).unwrap_or_default();
        let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        before(&String::from_utf8_lossy(line));
        to.write_all(bytes)?;
    }
}
