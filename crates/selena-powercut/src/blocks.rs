//! The content of a disk; blocks that were never written are zero and take no room.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
};

const BLOCK: u64 = 4096;
const BLOCK_BYTES: usize = 4096;

/// What is on a disk.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    blocks: BTreeMap<u64, Box<[u8; BLOCK_BYTES]>>,
    bytes: u64,
}

impl Blocks {
    /// The content of a file, without its holes.
    pub(crate) fn read_from(mut file: &File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        let mut all = Self { blocks: BTreeMap::new(), bytes };
        let mut block = [0; BLOCK_BYTES];
        for number in 0..bytes / BLOCK {
            file.read_exact(&mut block)?;
            if block.iter().any(|byte| *byte != 0) {
                all.blocks.insert(number, Box::new(block));
            }
        }
        Ok(all)
    }

    /// Makes a file of this content, with holes.
    pub(crate) fn write_to(&self, file: &File) -> io::Result<()> {
        file.set_len(self.bytes)?;
        self.blocks.iter().try_for_each(|(number, block)| file.write_all_at(&block[..], number * BLOCK))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        self.pieces(offset, data.len(), |blocks, number, within, piece| {
            let block = blocks.entry(number).or_insert_with(|| Box::new([0; BLOCK_BYTES]));
            block[within.clone()].copy_from_slice(&data[piece]);
        });
    }

    pub(crate) fn read(&mut self, offset: u64, bytes: usize) -> Vec<u8> {
        let bytes = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(bytes).min(bytes);
        let mut data = vec![0; bytes];
        self.pieces(offset, bytes, |blocks, number, within, piece| {
            if let Some(block) = blocks.get(&number) {
                data[piece].copy_from_slice(&block[within]);
            }
        });
        data
    }

    /// Calls for each block that a range touches: its number, the part of the block, and the part of the range.
    fn pieces(
        &mut self,
        offset: u64,
        bytes: usize,
        mut each: impl FnMut(
            &mut BTreeMap<u64, Box<[u8; BLOCK_BYTES]>>,
            u64,
            std::ops::Range<usize>,
            std::ops::Range<usize>,
        ),
    ) {
        let mut done = 0;
        while done < bytes {
            let at = offset + done as u64;
            let within = usize::try_from(at % BLOCK).expect("less than a block");
            let size = (BLOCK_BYTES - within).min(bytes - done);
            each(&mut self.blocks, at / BLOCK, within..within + size, done..done + size);
            done += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_across_blocks_and_the_rest_is_zero() {
        let mut blocks = Blocks { blocks: BTreeMap::new(), bytes: 3 * BLOCK };
        blocks.write(4000, &[7; 5000]);
        assert_eq!(blocks.read(3999, 3), [0, 7, 7]);
        assert_eq!(blocks.read(8998, 4), [7, 7, 0, 0]);
        assert_eq!(blocks.read(3 * BLOCK - 1, 10), [0], "nothing lies behind the end");
        let file = tempfile::tempfile().expect("a file");
        blocks.write_to(&file).expect("written");
        let mut again = Blocks::read_from(&file).expect("read");
        assert_eq!(again.read(0, 3 * BLOCK_BYTES), blocks.read(0, 3 * BLOCK_BYTES));
    }
}
