//! The disk.

use std::{
    io,
    path::Path,
    process::Command,
    sync::{Arc, Mutex, MutexGuard},
};

use fuser::BackgroundSession;
use tempfile::{NamedTempFile, TempDir};

use crate::{Cut, Mounted, blocks::Blocks, log::Log, served};

const MIB: u64 = 1024 * 1024;

/// A disk with an ext4 file system that knows what was written to it, and what was flushed.
#[derive(Debug)]
pub struct Disk {
    log: Arc<Mutex<Log>>,
    // Ends before its directory goes.
    _session: BackgroundSession,
    dir: TempDir,
}

impl Disk {
    /// A new disk of that size.
    ///
    /// # Errors
    /// Without root, `/dev/fuse` or `mkfs.ext4`.
    pub fn new(mib: u32) -> io::Result<Self> {
        let image = NamedTempFile::new()?;
        image.as_file().set_len(u64::from(mib) * MIB)?;
        // All is written now: what the kernel would write later in the background is nobody's change.
        let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        let made = Command::new("mkfs.ext4").args(["-q", "-b", "4096", "-E", options]).arg(image.path()).output()?;
        if !made.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
        }
        let log = Arc::new(Mutex::new(Log::new(Blocks::read_from(&image.reopen()?)?)));
        let dir = tempfile::Builder::new().prefix("selena-powercut-").tempdir()?;
        let session = fuser::spawn_mount2(served::Served(Arc::clone(&log)), dir.path(), &fuser::Config::default())?;
        Ok(Self { log, _session: session, dir })
    }

    /// Mounts it.
    ///
    /// # Errors
    /// Without root or loop devices.
    pub fn mount(&self, at: &Path) -> io::Result<Mounted> {
        Mounted::new(&self.dir.path().join(served::FILE), None, at)
    }

    /// What is on it now is safe; what is done to it from now on can be lost.
    pub fn begin(&self) {
        self.log().begin();
    }

    /// How many flushes there were since [`Disk::begin`]; what was flushed before this was asked is safe after a
    /// [`Cut`] of this number.
    #[must_use]
    pub fn flushes(&self) -> usize {
        self.log().flushes()
    }

    /// Mounts the disk as a power cut would have left it; it is another disk, and takes no notes.
    ///
    /// # Errors
    /// If that disk cannot be mounted.
    pub fn after_cut(&self, cut: Cut, at: &Path) -> io::Result<Mounted> {
        let blocks = self.log().after(cut);
        let image = NamedTempFile::new()?;
        blocks.write_to(image.as_file())?;
        let path = image.path().to_owned();
        Mounted::new(&path, Some(image), at)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("nothing panics while it holds the log")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;
    use crate::Fate;

    /// The instrument itself: what was synced is there after each cut, and what was not can be lost.
    #[test]
    fn d11_what_was_synced_survives_each_cut_and_what_was_not_need_not() {
        let disk = Disk::new(16).expect("this test needs root, /dev/fuse, loop devices and mkfs.ext4");
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("disk");
        let mounted = disk.mount(&at).expect("mounted");
        mounted.sync().expect("synced");
        disk.begin();
        let mut synced = fs::File::create(at.join("synced")).expect("made");
        synced.write_all(b"first").and_then(|()| synced.sync_all()).expect("written");
        let after_first = disk.flushes();
        assert!(after_first > 0);
        fs::write(at.join("unsynced"), "second").expect("written");
        synced.write_all(b", and more").and_then(|()| synced.sync_all()).expect("written");
        let after_second = disk.flushes();
        drop((synced, mounted));
        let look = |flushes, fate| {
            let after = disk.after_cut(Cut { flushes, fate }, &at).expect("a journal makes it whole");
            let read = |name: &str| fs::read_to_string(after.path().join(name)).ok();
            (read("synced"), read("unsynced"))
        };
        for fate in [Fate::Lost, Fate::Kept].into_iter().chain((0..20).map(Fate::Torn)) {
            assert!(look(after_first, fate).0.expect("it is there").starts_with("first"), "{fate:?}");
            assert_eq!(look(after_second, fate).0.as_deref(), Some("first, and more"), "{fate:?}");
        }
        assert_eq!(look(0, Fate::Lost), (None, None));
        let (_, unsynced) = look(after_first, Fate::Lost);
        assert_ne!(unsynced.as_deref(), Some("second"), "nobody asked for it to be kept");
    }
}
