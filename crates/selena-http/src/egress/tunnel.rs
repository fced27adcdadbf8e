//! Bytes of a module to a place outside and back.

use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::{Instant, sleep_until},
};

/// How many bytes are on their way in each direction.
const BUFFER_BYTES: usize = 16 * 1024;
/// How long a tunnel of which one side has said its last may be still: a client that went is not waited for.
const HALF_IDLE: Duration = Duration::from_secs(60);

/// What went through a tunnel; told to the journal when it is dropped, however the tunnel ended.
#[derive(Debug)]
pub(super) struct Traffic {
    module: String,
    place: String,
    sent: AtomicU64,
    received: AtomicU64,
    last: Mutex<Instant>,
    /// Whether one side has said its last.
    half: AtomicBool,
}

impl Traffic {
    pub(super) fn new(module: &str, place: String) -> Self {
        let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            module: module.to_owned(),
            place,
            sent,
            received,
            last: Mutex::new(Instant::now()),
            half: AtomicBool::new(false),
        }
    }

    fn count(&self, direction: &AtomicU64, bytes: usize) {
        direction.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        *self.last.lock().expect("nothing panics while it holds the time") = Instant::now();
    }

    /// Ends when nothing went through for so long.
    async fn idles(&self, limit: Duration) {
        loop {
            let limit = if self.half.load(Ordering::Relaxed) { limit.min(HALF_IDLE) } else { limit };
            let end = *self.last.lock().expect("nothing panics while it holds the time") + limit;
            let now = Instant::now();
            if now >= end {
                return;
            }
            sleep_until(end.min(now + HALF_IDLE)).await;
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        let (sent, received) = (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed));
        tracing::info!(module = self.module, place = self.place, sent, received, "a tunnel of a module ended");
    }
}

/// Carries bytes both ways until both sides have said their last, one breaks, or nothing went through for `idle`.
/// `early` is what the module has sent already. Dropping this closes both sides.
pub(super) async fn carry<M, O>(module: M, outside: O, early: &[u8], idle: Duration, traffic: &Traffic)
where
    M: AsyncRead + AsyncWrite,
    O: AsyncRead + AsyncWrite,
{
    let (mut from_module, mut to_module) = split(module);
    let (mut from_outside, mut to_outside) = split(outside);
    let out = async {
        to_outside.write_all(early).await?;
        traffic.count(&traffic.sent, early.len());
        let ended = pump(&mut from_module, &mut to_outside, |bytes| traffic.count(&traffic.sent, bytes)).await;
        traffic.half.store(true, Ordering::Relaxed);
        ended
    };
    let back = async {
        let ended = pump(&mut from_outside, &mut to_module, |bytes| traffic.count(&traffic.received, bytes)).await;
        traffic.half.store(true, Ordering::Relaxed);
        ended
    };
    tokio::select! {
        () = traffic.idles(idle) => {}
        done = async { tokio::try_join!(out, back) } => {
            if let Err(error) = done {
                tracing::debug!(%error, "a tunnel broke");
            }
        }
    }
}

/// Copies until `from` has said its last, and then tells that to the other side.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    count: impl Fn(usize),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        count(read);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const IDLE: Duration = Duration::from_secs(600);

    fn traffic() -> Traffic {
        Traffic::new("lamp", "api.example.com:443".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_whose_module_went_does_not_wait_for_a_host_that_says_nothing() {
        let ((mut module, near), (_host, far)) = (duplex(64), duplex(64));
        module.shutdown().await.expect("it goes");
        let (begun, traffic) = (Instant::now(), traffic());
        carry(near, far, b"", IDLE, &traffic).await;
        assert!(begun.elapsed() <= 2 * HALF_IDLE, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn each_side_hears_all_of_the_other_also_after_it_said_its_last() {
        let ((mut module, near), (mut host, far)) = (duplex(64), duplex(64));
        let traffic = traffic();
        let (mut to_host, mut to_module) = (Vec::new(), Vec::new());
        let asks = async {
            module.write_all(b", world").await?;
            module.shutdown().await?;
            module.read_to_end(&mut to_module).await
        };
        let answers = async {
            host.read_to_end(&mut to_host).await?;
            host.write_all(&[7; 1000]).await?;
            host.shutdown().await
        };
        let begun = Instant::now();
        let (asked, answered, ()) = tokio::join!(asks, answers, carry(near, far, b"hello", IDLE, &traffic));
        assert_eq!((asked.unwrap(), answered.unwrap()), (1000, ()));
        assert_eq!((to_host.as_slice(), to_module), (&b"hello, world"[..], vec![7; 1000]));
        assert_eq!((traffic.sent.load(Ordering::Relaxed), traffic.received.load(Ordering::Relaxed)), (12, 1000));
        assert!(begun.elapsed() < IDLE, "it ended because both had ended");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_nothing_went_through_for_long_and_not_before() {
        let ((mut module, near), (mut host, far)) = (duplex(64), duplex(64));
        let traffic = traffic();
        let begun = Instant::now();
        let talks = async {
            for _ in 0..3 {
                tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
                host.write_all(b"x").await.unwrap();
                module.read_exact(&mut [0]).await.unwrap();
            }
            // One direction is enough; now neither side speaks, and neither ends.
            let ended = module.read(&mut [0]).await.unwrap();
            assert_eq!(ended, 0);
        };
        let ((), ()) = tokio::join!(talks, carry(near, far, b"", IDLE, &traffic));
        assert_eq!(begun.elapsed().as_secs(), 3 * (IDLE.as_secs() - 1) + IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_for_both_when_one_breaks() {
        let ((mut module, near), (host, far)) = (duplex(64), duplex(64));
        drop(host);
        let breaks = async {
            module.write_all(b"to nobody").await.unwrap();
            assert_eq!(module.read(&mut [0]).await.unwrap(), 0);
        };
        let (begun, traffic) = (Instant::now(), traffic());
        let ((), ()) = tokio::join!(breaks, carry(near, far, b"", IDLE, &traffic));
        assert!(begun.elapsed() < IDLE);
    }
}
