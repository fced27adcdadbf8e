//! What reached the medium, in its order, and what a power cut leaves of it.

use crate::{blocks::Blocks, choice::Choice};

/// What a disk writes at once, whatever happens.
const SECTOR: u64 = 512;
/// The first block is taken to be written as a whole: ext4 rests on that for its superblock, which has no second copy in
/// the journal.
const SUPERBLOCK: u64 = 4096;

/// When the power goes: this many flushes were complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Number of flushes that were complete.
    pub flushes: usize,
    /// What becomes of what was written since.
    pub fate: Fate,
}

/// What becomes of what was written and not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing of it is there.
    Lost,
    /// All of it is there.
    Kept,
    /// A part of it is there, in any order, and some of that torn between two sectors.
    Torn(u64),
}

#[derive(Debug)]
enum Step {
    Write(u64, Vec<u8>),
    Flush,
}

/// A disk's content, and what was done to it since.
#[derive(Debug)]
pub(crate) struct Log {
    base: Blocks,
    steps: Vec<Step>,
    /// What is read: base and steps.
    now: Blocks,
    flushes: usize,
}

impl Log {
    pub(crate) fn new(base: Blocks) -> Self {
        Self { now: base.clone(), base, steps: Vec::new(), flushes: 0 }
    }

    /// What is there now is safe, and the log begins anew.
    pub(crate) fn begin(&mut self) {
        *self = Self::new(self.now.clone());
    }

    pub(crate) fn now(&mut self) -> &mut Blocks {
        &mut self.now
    }

    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        self.now.write(offset, data);
        self.steps.push(Step::Write(offset, data.to_owned()));
    }

    pub(crate) fn flush(&mut self) {
        // One that has nothing to flush is no other state.
        if matches!(self.steps.last(), Some(Step::Write(..))) {
            self.steps.push(Step::Flush);
            self.flushes += 1;
        }
    }

    pub(crate) fn flushes(&self) -> usize {
        self.flushes
    }

    /// What is on the disk after a cut.
    pub(crate) fn after(&self, cut: Cut) -> Blocks {
        let mut blocks = self.base.clone();
        let mut flushes = 0;
        let mut pending = Vec::new();
        for step in &self.steps {
            match step {
                Step::Write(offset, data) if flushes < cut.flushes => blocks.write(*offset, data),
                Step::Write(offset, data) => pending.push((*offset, data.as_slice())),
                Step::Flush if flushes == cut.flushes => break,
                Step::Flush => flushes += 1,
            }
        }
        match cut.fate {
            Fate::Lost => {}
            Fate::Kept => pending.iter().for_each(|(offset, data)| blocks.write(*offset, data)),
            Fate::Torn(seed) => tear(&mut blocks, &pending, seed ^ (cut.flushes as u64) << 32),
        }
        blocks
    }
}

/// The power goes at any moment; what was written until then may have come to the medium in any order.
fn tear(blocks: &mut Blocks, pending: &[(u64, &[u8])], seed: u64) {
    let mut choice = Choice::new(seed);
    let until = choice.below(pending.len() as u64 + 1);
    for (offset, data) in pending.iter().take(usize::try_from(until).unwrap_or(usize::MAX)) {
        let sectors = (data.len() as u64).div_ceil(SECTOR);
        match choice.below(4) {
            0 => {}
            1 if *offset >= SUPERBLOCK => {
                let torn = usize::try_from(choice.below(sectors) * SECTOR).expect("less than its length");
                blocks.write(*offset, &data[..torn]);
            }
            _ => blocks.write(*offset, data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(64 * 1024).expect("its length");
        let mut log = Log::new(Blocks::read_from(&file).expect("read"));
        log.flush();
        log.write(0, &[1; 4096]);
        log.flush();
        log.flush();
        for at in 0..8 {
            log.write(4096 + at * 4096, &[2; 4096]);
        }
        log
    }

    fn twos(mut blocks: Blocks) -> usize {
        assert_eq!(blocks.read(0, 4096), [1; 4096], "what was flushed is there");
        blocks.read(4096, 8 * 4096).into_iter().filter(|byte| *byte == 2).count()
    }

    #[test]
    fn what_was_flushed_is_there_and_the_rest_has_its_fate() {
        let log = log();
        assert_eq!(log.flushes(), 1, "a flush of nothing is none");
        let after = |fate| log.after(Cut { flushes: 1, fate });
        assert_eq!(twos(after(Fate::Lost)), 0);
        assert_eq!(twos(after(Fate::Kept)), 8 * 4096);
        let torn: Vec<_> = (0..50).map(|seed| twos(after(Fate::Torn(seed)))).collect();
        assert!(torn.iter().any(|count| count % 4096 != 0), "some are torn: {torn:?}");
        assert!(torn.iter().all(|count| count % 512 == 0), "between sectors only: {torn:?}");
        assert_eq!(twos(after(Fate::Torn(7))), torn[7], "a seed is one state");
    }

    #[test]
    fn before_the_first_flush_nothing_is_safe() {
        let mut blocks = log().after(Cut { flushes: 0, fate: Fate::Lost });
        assert_eq!(blocks.read(0, 4096), [0; 4096]);
        let mut blocks = log().after(Cut { flushes: 0, fate: Fate::Kept });
        assert_eq!(
            blocks.read(0, 8192),
            [[1; 4096], [0; 4096]].concat(),
            "what came after the flush was not yet written"
        );
    }
}
