//! What a tar of a stranger may claim before it is parsed: names and maps of holes are read into memory by whoever
//! parses them, so their length is limited while the bytes pass.

use std::io::{self, ErrorKind, Read};

const BLOCK: usize = 512;
/// Longest name or other extension in bytes; Linux takes paths of 4096.
const MOST_EXTENSION: u64 = 16 * 1024;
/// Most blocks of a map of holes: 21 holes each, and a volume of 4 GiB has half a million of them at most.
const MOST_MAP_BLOCKS: u32 = 32 * 1024;

/// A tar, of which no single header asks for much memory.
#[derive(Debug)]
pub(crate) struct TarGuard<R> {
    from: R,
    block: [u8; BLOCK],
    /// How much of `block` was given on.
    given: usize,
    /// Bytes of content that follow before the next header.
    content: u64,
    /// How many blocks of a map of holes came, if the next block is one.
    map: Option<u32>,
    ended: bool,
}

impl<R: Read> TarGuard<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, block: [0; BLOCK], given: BLOCK, content: 0, map: None, ended: false }
    }

    /// Reads and judges the next header.
    fn next_block(&mut self) -> io::Result<()> {
        match self.from.read_exact(&mut self.block) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                self.ended = true;
                return Ok(());
            }
            read => read?,
        }
        self.given = 0;
        if let Some(blocks) = self.map {
            if blocks >= MOST_MAP_BLOCKS {
                return Err(refused("a file has more holes than a volume can"));
            }
            self.map = (self.block[504] != 0).then_some(blocks + 1);
            return Ok(());
        }
        let header = tar::Header::from_byte_slice(&self.block);
        let size = if self.block == [0; BLOCK] { 0 } else { header.entry_size()? };
        match header.entry_type().as_byte() {
            b'L' | b'K' | b'x' | b'g' if size > MOST_EXTENSION => return Err(refused("a name is too long")),
            b'S' => self.map = (self.block[482] != 0).then_some(0),
            _ => {}
        }
        let blocks = size.div_ceil(BLOCK as u64);
        self.content = blocks.checked_mul(BLOCK as u64).ok_or_else(|| refused("a file is too large"))?;
        Ok(())
    }
}

impl<R: Read> Read for TarGuard<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.ended {
            return Ok(0);
        }
        if self.given == BLOCK {
            if self.content > 0 && self.map.is_none() {
                let most = usize::try_from(self.content).unwrap_or(usize::MAX).min(into.len());
                let read = self.from.read(&mut into[..most])?;
                self.content -= read as u64;
                return Ok(read);
            }
            self.next_block()?;
            if self.ended {
                return Ok(0);
            }
        }
        let taken = into.len().min(BLOCK - self.given);
        into[..taken].copy_from_slice(&self.block[self.given..self.given + taken]);
        self.given += taken;
        Ok(taken)
    }
}

fn refused(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u8, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn pass(tar: &[u8]) -> io::Result<Vec<u8>> {
        let mut passed = Vec::new();
        TarGuard::new(tar).read_to_end(&mut passed).map(|_| passed)
    }

    #[test]
    fn what_a_builder_writes_passes_as_it_is() {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in [("a".repeat(300), 0), ("b".to_owned(), 1), ("c".repeat(120), 100_000)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes);
            builder.append_data(&mut header, path, io::repeat(7).take(bytes)).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        assert_eq!(pass(&tar).unwrap(), tar);
    }

    #[test]
    fn a_name_of_any_size_is_refused_before_it_is_read() {
        for kind in [b'L', b'K', b'x', b'g'] {
            assert!(pass(&header(kind, 1 << 40)).is_err());
            assert!(pass(&[header(kind, 100), vec![b'a'; 512]].concat()).is_ok());
        }
        assert!(pass(&header(b'0', u64::MAX)).is_err());
    }

    #[test]
    fn a_map_of_holes_that_does_not_end_is_refused() {
        let mut sparse = tar::Header::new_gnu();
        sparse.set_entry_type(tar::EntryType::GNUSparse);
        sparse.as_gnu_mut().unwrap().set_is_extended(true);
        sparse.set_size(0);
        sparse.set_cksum();
        let mut block = vec![0; BLOCK];
        block[504] = 1;
        let endless = io::Cursor::new(sparse.as_bytes().to_vec()).chain(Endless(block));
        assert!(TarGuard::new(endless).read_to_end(&mut Vec::new()).is_err());
    }

    /// The same block for ever.
    struct Endless(Vec<u8>);

    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            assert_eq!(into.len(), BLOCK);
            into.copy_from_slice(&self.0);
            Ok(BLOCK)
        }
    }
}
