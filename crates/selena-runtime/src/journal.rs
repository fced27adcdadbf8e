//! The log: fields into journald where there is one, plain lines on standard error elsewhere.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Registry,
    fmt::{MakeWriter, time::SystemTime},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::settings::LogLevel;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The log was set up before.
    #[error("the log is set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Sets up the log of the whole program, once.
///
/// If standard error is the journal, records go to journald with their fields, each under its own name in upper case
/// (a field `message_id` is the `MESSAGE_ID` of the message catalogue). Else they are lines on standard error.
/// The level was checked by [`LogLevel::new`], whose error is one of the configuration: exit code 78.
///
/// # Errors
/// [`InitError::Twice`].
pub fn init(level: &LogLevel) -> Result<(), InitError> {
    if !stderr_is_journal() {
        return lines(level, Stamp::Time, io::stderr).try_init().map_err(InitError::Twice);
    }
    match tracing_journald::layer() {
        Ok(layer) => {
            let journal = layer.with_field_prefix(None);
            Registry::default().with(filter(level)).with(journal).try_init().map_err(InitError::Twice)
        }
        // journald's own socket is closed to us; what we print it still takes, and stamps itself.
        Err(_) => lines(level, Stamp::None, io::stderr).try_init().map_err(InitError::Twice),
    }
}

/// Whether standard error is connected to the journal.
#[must_use]
pub fn stderr_is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    is_stream(io::stderr().as_fd(), stream.as_deref())
}

/// Whether a descriptor is the one named by the value of `JOURNAL_STREAM` (`device:inode`, `systemd.exec(5)`).
fn is_stream(fd: BorrowedFd<'_>, journal_stream: Option<&str>) -> bool {
    let Some((device, inode)) = journal_stream.and_then(|stream| stream.split_once(':')) else { return false };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else { return false };
    let metadata = fd.try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    metadata.is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (device, inode))
}

/// What begins a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stamp {
    Time,
    None,
}

fn lines<W>(level: &LogLevel, stamp: Stamp, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // No colours, on a terminal neither: a log is for grep.
    let builder = tracing_subscriber::fmt().with_env_filter(filter(level)).with_ansi(false).with_writer(writer);
    match stamp {
        Stamp::Time => Box::new(builder.with_timer(SystemTime).finish()),
        Stamp::None => Box::new(builder.without_time().finish()),
    }
}

fn filter(level: &LogLevel) -> EnvFilter {
    EnvFilter::builder().parse_lossy(level.as_str())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, stamp: Stamp) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let level = LogLevel::new(level).unwrap();
        let subscriber = lines(&level, stamp, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "selena_core::modules", "small");
            tracing::info!(target: "other", answer = 42, "large");
        });
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn the_level_and_its_targets_are_obeyed() {
        assert_eq!(logged("INFO", Stamp::None), " INFO other: large answer=42\n");
        assert_eq!(logged("error", Stamp::None), "");
        assert_eq!(logged("warn,selena_core=debug", Stamp::None), "DEBUG selena_core::modules: small\n");
    }

    #[test]
    fn the_time_stands_before_a_line_only_if_nobody_else_stamps_it() {
        let line = logged("info", Stamp::Time);
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.contains('T') && time.ends_with('Z'), "{line}");
        assert_eq!(rest, " INFO other: large answer=42\n");
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let metadata = file.metadata().unwrap();
        let named = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(is_stream(file.as_fd(), Some(&named)));
        for other in [None, Some(""), Some(":"), Some("a:b"), Some("0:0"), Some(named.replace(':', "").as_str())] {
            assert!(!is_stream(file.as_fd(), other), "{other:?}");
        }
    }
}
