//! How much of a disk something takes.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

/// Size of the units that the kernel counts blocks of files in, whatever the file system.
const BLOCK_BYTES: u64 = 512;

/// What a file, or a directory with all in it, takes of its disk, in bytes: what it holds, not how long it is. No link is
/// followed; what cannot be read, or goes meanwhile, counts nothing.
#[must_use]
pub fn allocated_bytes(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    let own = metadata.blocks() * BLOCK_BYTES;
    if !metadata.is_dir() {
        return own;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    own + entries.map(|entry| allocated_bytes(&entry.path())).sum::<u64>()
}

/// Total and free bytes of the file system a path lies on.
pub(crate) fn space(path: &Path) -> Option<(u64, u64)> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    Some((stat.blocks() * stat.fragment_size(), stat.blocks_available() * stat.fragment_size()))
}

/// What is full of the ext4 file system in an image that nothing has mounted, in bytes, by its superblock.
pub(crate) fn ext4_used_bytes(image: &Path) -> io::Result<u64> {
    use std::os::unix::fs::FileExt;
    const SUPERBLOCK: u64 = 1024;
    let file = fs::File::open(image)?;
    let number = |offset| {
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, SUPERBLOCK + offset).map(|()| u32::from_le_bytes(bytes))
    };
    let (blocks, free, log_size) = (number(4)?, number(12)?, number(24)?);
    Ok(u64::from(blocks.saturating_sub(free)) << (10 + log_size.min(6)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_take_nothing_and_links_are_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).expect("made");
        let empty = allocated_bytes(dir.path());
        fs::write(inner.join("full"), vec![1; 1 << 20]).expect("written");
        fs::File::create(inner.join("sparse")).and_then(|file| file.set_len(1 << 30)).expect("made");
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).expect("made");
        let taken = allocated_bytes(dir.path()) - empty;
        assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&taken), "{taken}");
        assert_eq!(allocated_bytes(&dir.path().join("absent")), 0);
    }
}
