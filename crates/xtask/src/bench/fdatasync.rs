//! The baseline of durable writes: how often a second this file system makes 4 KiB durable.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use super::numbers::float;

const BLOCK: [u8; 4096] = [0x5a; 4096];
/// The file is written beforehand and then over and over, as a WAL is.
const BLOCKS: u64 = 2048;

/// A file to write to.
#[derive(Debug)]
pub(super) struct Syncer(File);

impl Syncer {
    pub(super) fn new(dir: &Path) -> anyhow::Result<Self> {
        let file = File::create(dir.join("fdatasync"))?;
        for block in 0..BLOCKS {
            file.write_all_at(&BLOCK, block * 4096)?;
        }
        file.sync_all()?;
        Ok(Self(file))
    }

    /// Writes and syncs one block after the other; how often a second.
    pub(super) fn rate(&self, span: Duration) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let mut done = 0;
        while begun.elapsed() < span {
            self.0.write_all_at(&BLOCK, done % BLOCKS * 4096)?;
            self.0.sync_data()?;
            done += 1;
        }
        Ok(float(done) / begun.elapsed().as_secs_f64())
    }
}
