//! The data volume of a module: an ext4 image of a fixed size, whose blocks all belong to it from the start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::{FallocateFlags, OFlag, fallocate};

use crate::commands;

const MIB: i64 = 1024 * 1024;

/// Opens the image, and makes it with `size_mb` MiB for the user `owner` if it is not there.
///
/// An image has its name only when it is complete: it is made beside it and renamed, so that neither a power cut nor a
/// full disk leaves half of one.
pub(crate) fn open_or_make(path: &Path, size_mb: u32, owner: u32) -> io::Result<File> {
    match open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(path, size_mb, owner)?;
            open(path)
        }
        opened => opened.and_then(|image| grow(image, size_mb)),
    }
}

/// Lets an image grow that a new version of its module wants larger; it never shrinks, so that nothing is lost.
fn grow(image: File, size_mb: u32) -> io::Result<File> {
    let wanted = i64::from(size_mb) * MIB;
    // Not by the file's length: a growth that was cut has that already.
    if i64::try_from(file_system_bytes(&image)?).unwrap_or(i64::MAX) >= wanted {
        return Ok(image);
    }
    fallocate(&image, FallocateFlags::empty(), 0, wanted)?;
    commands::grow_ext4(&image)?;
    image.sync_all()?;
    Ok(image)
}

/// How large the ext4 file system in an image says it is: blocks times block size, of its superblock.
fn file_system_bytes(image: &File) -> io::Result<u64> {
    const SUPERBLOCK: u64 = 1024;
    let number = |offset| {
        let mut bytes = [0; 4];
        image.read_exact_at(&mut bytes, SUPERBLOCK + offset).map(|()| u32::from_le_bytes(bytes))
    };
    let (blocks, log_size) = (number(4)?, number(24)?);
    Ok(u64::from(blocks) << (10 + log_size.min(6)))
}

/// Opens an image that is there. A link, or a device in its place, is refused: root writes to what this returns.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("the data image is no regular file")) }
}

fn make(path: &Path, size_mb: u32, owner: u32) -> io::Result<()> {
    let unfinished = unfinished(path);
    let made = fill(&unfinished, size_mb, owner).and_then(|()| fs::rename(&unfinished, path));
    if made.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    made?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

fn fill(unfinished: &Path, size_mb: u32, owner: u32) -> io::Result<()> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(unfinished)?;
    fallocate(&file, FallocateFlags::empty(), 0, i64::from(size_mb) * MIB)?;
    commands::make_ext4(file.try_clone()?, owner)?;
    file.sync_all()
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn an_image_is_made_once_and_keeps_its_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.img");
        let made = open_or_make(&path, 8, 20_001).unwrap().metadata().unwrap();
        assert_eq!(made.len(), 8 * 1024 * 1024);
        assert!(made.blocks() * 512 >= made.len(), "it has holes");
        assert_eq!(open_or_make(&path, 8, 20_001).unwrap().metadata().unwrap().ino(), made.ino());
        assert_eq!(open_or_make(&path, 4, 20_001).unwrap().metadata().unwrap().len(), made.len(), "it never shrinks");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_image_grows_with_its_module_and_also_after_a_growth_that_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.img");
        open_or_make(&path, 8, 20_001).unwrap();
        let grown = open_or_make(&path, 16, 20_001).unwrap();
        assert_eq!(file_system_bytes(&grown).unwrap(), 16 * 1024 * 1024);
        // Cut between the file's growth and the file system's.
        fallocate(&grown, FallocateFlags::empty(), 0, 24 * MIB).unwrap();
        assert_eq!(file_system_bytes(&grown).unwrap(), 16 * 1024 * 1024);
        let grown = open_or_make(&path, 24, 20_001).unwrap();
        assert_eq!(file_system_bytes(&grown).unwrap(), 24 * 1024 * 1024);
    }

    #[test]
    fn what_was_left_half_made_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.img");
        fs::write(unfinished(&path), "half").unwrap();
        assert!(open_or_make(&path, 8, 20_001).is_ok());
    }

    #[test]
    fn links_and_devices_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.img");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(open_or_make(&path, 8, 20_001).is_err());
        assert!(open(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn an_image_that_has_no_room_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open_or_make(&dir.path().join("data.img"), u32::MAX, 20_001).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
