//! Telling what is plugged in and unplugged, as it happens.

use std::{
    future::pending,
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};
use selena_core::ports::HostDevices;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until},
};

use super::scan::scan;

/// Directories whose changes matter; those below `/dev` come and go with the first and the last device in them.
const WATCHED: [&str; 7] =
    ["/dev", "/dev/serial", "/dev/serial/by-id", "/dev/serial/by-path", "/dev/v4l", "/dev/v4l/by-id", "/dev/snd"];
/// What belongs to one plug comes within this time: the node, its owner, its links.
const SETTLE: Duration = Duration::from_millis(50);
/// The least time between two looks, however loose a contact is.
const LEAST_PAUSE: Duration = Duration::from_millis(500);
/// How often it is looked without any news.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
/// As that, where the kernel tells no news.
const LOOK_WITHOUT_NEWS: Duration = Duration::from_secs(2);

/// Keeps `devices` true until nobody wants to know any more.
pub(crate) async fn follow(sysfs: PathBuf, devices: watch::Sender<Arc<HostDevices>>) {
    let news = News::new();
    if let Err(error) = &news {
        tracing::warn!(error = error as &dyn std::error::Error, "devices are looked for every few seconds only");
    }
    let mut news = news.ok();
    loop {
        if let Some(news) = &mut news {
            news.renew();
        }
        let sysfs = sysfs.clone();
        let Ok(found) = spawn_blocking(move || scan(&sysfs)).await else { return };
        let looked_at = Instant::now();
        devices.send_if_modified(|known| {
            let changed = **known != found;
            if changed {
                *known = Arc::new(found);
            }
            changed
        });
        let anyway = if news.is_some() { LOOK_ANYWAY } else { LOOK_WITHOUT_NEWS };
        tokio::select! {
            () = devices.closed() => return,
            () = heard(news.as_ref()) => {
                sleep(SETTLE).await;
                sleep_until(looked_at + LEAST_PAUSE).await;
            }
            () = sleep(anyway) => {}
        }
    }
}

async fn heard(news: Option<&News>) {
    match news {
        Some(news) => news.heard().await,
        None => pending().await,
    }
}

/// The kernel's word that something changed in a watched directory.
#[derive(Debug)]
struct News(AsyncFd<Watches>);

#[derive(Debug)]
struct Watches(Inotify);

impl AsRawFd for Watches {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl News {
    #[expect(
        deprecated,
        reason = "its successor can be called from unsafe code only; what it guards against is a type whose descriptor \
                  changes, and `Watches` has one for its whole life"
    )]
    fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Self(AsyncFd::with_interest(Watches(inotify), Interest::READABLE)?))
    }

    /// Forgets what was told before, since the look that follows sees it, and watches the directories that are there.
    /// What happens from here on is told again.
    fn renew(&mut self) {
        self.forget();
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let Watches(inotify) = self.0.get_ref();
        for directory in WATCHED {
            match inotify.add_watch(directory, flags) {
                Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(directory, error, "a directory of devices is not watched");
                }
            }
        }
    }

    fn forget(&self) {
        while self.0.get_ref().0.read_events().is_ok_and(|events| !events.is_empty()) {}
    }

    async fn heard(&self) {
        loop {
            let Ok(mut ready) = self.0.readable().await else { return pending().await };
            match self.0.get_ref().0.read_events() {
                Err(Errno::EAGAIN) => ready.clear_ready(),
                _ => return,
            }
        }
    }
}
